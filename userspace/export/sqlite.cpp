// SPDX-License-Identifier: Apache-2.0
// sqlite: the tables of rows.h as a database. It is made in memory, which is bounded as all of an export is, and written as
// one stream: so it can go to a pipe, and there are no journals beside the file.
#include <fmt/format.h>
#include <sqlite3.h>

#include <map>
#include <memory>
#include <new>
#include <stdexcept>

#include "export/exporter.h"
#include "export/rows.h"

namespace memwhy::exports {
namespace {

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
struct EndStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, EndStatement>;

// The statements are ours and the database is in memory: what can fail is memory.
void must(int status, sqlite3* db) {
  if (status == SQLITE_OK || status == SQLITE_DONE) return;
  if (status == SQLITE_NOMEM || status == SQLITE_FULL) throw std::bad_alloc();
  throw std::runtime_error(fmt::format("SQLite: {}", sqlite3_errmsg(db)));
}

const char* sql_type(ColumnType type) {
  switch (type) {
    case ColumnType::kInteger:
      return "integer";
    case ColumnType::kReal:
      return "real";
    case ColumnType::kText:
    case ColumnType::kTexts:
      return "text";
  }
  return "";
}

class Bind {
 public:
  Bind(sqlite3* db, sqlite3_stmt* statement, int place) : db_(db), statement_(statement), place_(place) {}
  void operator()(std::monostate /*unknown*/) const { must(sqlite3_bind_null(statement_, place_), db_); }
  void operator()(int64_t value) const { must(sqlite3_bind_int64(statement_, place_, value), db_); }
  void operator()(double value) const { must(sqlite3_bind_double(statement_, place_, value), db_); }
  void operator()(const std::string& value) const {
    must(sqlite3_bind_text64(statement_, place_, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8),
         db_);
  }
  // A stack as text: "work < main".
  void operator()(const std::vector<std::string>& value) const {
    std::string joined;
    for (const std::string& each : value) joined += joined.empty() ? each : " < " + each;
    (*this)(joined);
  }

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;
  int place_;
};

class Tables {
 public:
  explicit Tables(sqlite3* db) : db_(db) {
    run("begin");
    for (const Table& table : tables()) {
      std::string columns, marks;
      for (const Column& column : table.columns) {
        columns +=
            fmt::format("{}\"{}\" {}", columns.empty() ? "" : ", ", column.name, sql_type(column.type));
        marks += marks.empty() ? "?" : ", ?";
      }
      run(fmt::format("create table \"{}\" ({})", table.name, columns));
      sqlite3_stmt* statement = nullptr;
      const std::string insert = fmt::format("insert into \"{}\" values ({})", table.name, marks);
      must(sqlite3_prepare_v2(db_, insert.c_str(), -1, &statement, nullptr), db_);
      inserts_[&table] = Statement(statement);
    }
  }
  void insert(const Table& table, const Row& row) {
    sqlite3_stmt* const statement = inserts_.at(&table).get();
    int place = 1;
    for (const Value& value : row) std::visit(Bind(db_, statement, place++), value);
    must(sqlite3_step(statement), db_);
    must(sqlite3_reset(statement), db_);
  }
  void finish() {
    inserts_.clear();
    run("create index frame_of_stack on frame (process, stack_id)");
    run("commit");
  }

 private:
  void run(const std::string& sql) { must(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr), db_); }
  sqlite3* db_;
  std::map<const Table*, Statement> inserts_;
};

}  // namespace

void write_sqlite(const Material& material, Output& out) {
  sqlite3* opened = nullptr;
  const int status = sqlite3_open_v2("file:export?vfs=memdb", &opened,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, nullptr);
  const Database db(opened);
  must(status, db.get());
  must(sqlite3_exec(db.get(), "pragma journal_mode = off", nullptr, nullptr, nullptr), db.get());
  Tables into(db.get());
  for_each_row(material.explanation, [&](const Table& table, const Row& row) { into.insert(table, row); });
  into.finish();
  sqlite3_int64 bytes = 0;
  const unsigned char* const image = sqlite3_serialize(db.get(), "main", &bytes, SQLITE_SERIALIZE_NOCOPY);
  if (image == nullptr) throw std::bad_alloc();
  out.put({reinterpret_cast<const char*>(image), static_cast<size_t>(bytes)});  // NOLINT: bytes
}

}  // namespace memwhy::exports

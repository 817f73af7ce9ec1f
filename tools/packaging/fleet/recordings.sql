-- Recordings of many nodes, in DuckDB. On each node: memwhy export -f ndjson FILE -o FILE.ndjson; collect them in a folder, and there:
--   duckdb < recordings.sql
-- Each statement is run by scenario.fleet.recordings_of_many_nodes.

create view raw as
  select * from read_json('*.ndjson', format = 'newline_delimited', filename = true, union_by_name = true, sample_size = -1);

-- A process may have been recorded more than once; its last recording counts. A process of a node is its pid and name there.
create view process as
  select filename, process, host, pid, comm, cgroup, rss_bytes, heap_profile_bytes, start
  from (select filename, process, pid, comm, cgroup, rss_bytes, heap_profile_bytes
        from raw where row = 'process' and rss_bytes is not null and replaced_by_exec = 0)
  join (select filename, host, start from raw where row = 'recording') using (filename)
  qualify row_number() over (partition by host, pid, comm order by start desc, filename desc) = 1;
create view finding as
  select host, comm, cgroup, id as cause, f.bytes, recoverable_bytes, claim, remedy
  from (select filename, process, id, kind, bytes, recoverable_bytes, claim, remedy from raw where row = 'finding' and kind = 'problem') f
  join process using (filename, process);
create view ledger as
  select host, comm, cgroup, owner, l.bytes
  from (select filename, process, owner, bytes from raw where row = 'ledger') l join process using (filename, process);

-- 1 Which cause costs the most bytes over all nodes
select cause, sum(bytes) as bytes, sum(recoverable_bytes) as recoverable_bytes, count(distinct host) as nodes, count(*) as processes
from finding group by cause order by bytes desc;

-- 2 The same by node and program, with what to do
select host, comm, cause, sum(bytes) as bytes, any_value(remedy) as remedy from finding group by all order by bytes desc;

-- 3 What all of it is made of
select owner, sum(bytes) as bytes from ledger group by owner order by bytes desc;

-- 4 What a heap profile does not show, by program
select comm, sum(rss_bytes) as rss_bytes, sum(rss_bytes - coalesce(heap_profile_bytes, 0)) as beside_heap_profile
from process group by comm order by beside_heap_profile desc;

-- 5 Whether it adds up: no rows
select host, pid, comm, rss_bytes, sum(l.bytes) as owners
from process join (select filename, process, bytes from raw where row = 'ledger') l using (filename, process)
group by all having sum(l.bytes) <> rss_bytes;

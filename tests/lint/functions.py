# SPDX-License-Identifier: Apache-2.0
"""No function is longer than 80 lines, from the first line of its signature to its last brace, but one whose comment says why
("Longer than 80 lines: ..."). C and C++ by their braces
outside comments and literals, Python by its parser, Go by the shape that gofmt gives it."""
import ast
import re
import sys

import sources

LONGEST = 80
# Comments and literals, longest first; a preprocessor line with what it continues on.
DEAD = re.compile(r'//[^\n]*|/\*.*?\*/|R"(?P<d>[^(\n]*)\(.*?\)(?P=d)"|"(?:\\.|[^"\\\n])*"'
                  r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.S | re.M)
TYPE = re.compile(r"\b(class|struct|union|enum)\b")
SCOPE = re.compile(r"\bnamespace\b|\bextern\s+\"\"\s*$")
GO = re.compile(r"^func .*?(?:\{[^\n]*\}$|^\})", re.S | re.M)


def blank(match):
    """As many lines, and nothing in them that could be a brace."""
    return ('""' if match[0].lstrip()[:1] in "\"R'" else "") + "\n" * match[0].count("\n")


def kind_of(head):
    """What a brace opens at the level of declarations, by what is before it."""
    if SCOPE.search(head):
        return "scope"
    flat = re.sub(r"<[^<>]*>", "", re.sub(r"<[^<>]*>", "", head))
    before = re.sub(r"\b(alignas|__attribute__|decltype)\s*\(+[^()]*\)+", "", flat).split("(")[0]
    if TYPE.search(before) and "(" not in flat.replace(before, "", 1):
        return "scope"
    # "int f(int a = 0) {" is a function; "Table t = {", and what stands within parentheses, are values.
    if "(" not in flat or flat.count("(") != flat.count(")") or re.search(r"(?<![=!<>])=(?!=)", re.sub(r"\boperator\s*\S+", "", before)):
        return "value"
    return "function"


def of_braces(text):
    """(first line, last line, head) of each function of C or C++."""
    text = DEAD.sub(blank, text)
    open_, found, head, line = [], [], 0, 1
    for at, char in enumerate(text):
        if char == "\n":
            line += 1
        elif char == "{":
            declares = all(kind == "scope" for kind, _, _ in open_)
            what = text[head:at]
            first = line - what.lstrip().count("\n")
            open_.append((kind_of(what) if declares else "inside", first, what.strip()))
        elif char == "}":
            if not open_:
                raise ValueError("more braces are closed than opened")
            kind, first, what = open_.pop()
            if kind == "function":
                found.append((first, line, what))
        # A value in braces is a part of its declaration: of "f() : a_{1} {", of "int t[] = {1, 2}, u;".
        if char in ";{" or (char == "}" and kind != "value"):
            if all(each == "scope" for each, _, _ in open_):
                head = at + 1
    if open_:
        raise ValueError("a brace is not closed")
    return found


def of_python(text):
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return [(n.lineno, n.end_lineno, n.name) for n in nodes]


def of_go(text):
    starts = [(match, text.count("\n", 0, match.start()) + 1) for match in GO.finditer(text)]
    return [(first, first + match[0].count("\n"), match[0].split("{")[0]) for match, first in starts]


READERS = {".h": of_braces, ".cpp": of_braces, ".c": of_braces, ".py": of_python, ".go": of_go}


def says_why(lines, first):
    """Whether the comment that ends above this line has the sentence."""
    above = first - 2
    while above >= 0 and re.match(r"\s*(//|/?\*|#)", lines[above]):
        if re.search(r"Longer than", lines[above], re.I):
            return True
        above -= 1
    return False


def main():
    offences, functions = [], 0
    paths = sources.files(*READERS)
    for path in paths:
        name = path.relative_to(sources.ROOT)
        try:
            found = READERS[path.suffix](sources.text(path))
        except (ValueError, SyntaxError) as error:
            offences.append(f"{name}:1: cannot be measured: {error}")
            continue
        functions += len(found)
        lines = sources.text(path).splitlines()
        offences += [f"{name}:{first}: {last - first + 1} lines, more than {LONGEST}: {' '.join(head.split())[:60]}"
                     for first, last, head in found if last - first >= LONGEST and not says_why(lines, first)]
    if not functions:
        offences.append("no function was found: nothing was checked")
    return sources.finish(offences, len(paths), f"none of {functions} functions is longer than {LONGEST} lines")


if __name__ == "__main__":
    sys.exit(main())

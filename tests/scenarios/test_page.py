# SPDX-License-Identifier: Apache-2.0
"""The page of memwhy report in a real browser, from a file, without a network: what it shows is what the JSON says, to the byte; names of
a hostile program are text; and nothing goes wrong in its console."""
import base64
import collections
import datetime
import gzip
import json
import os
import re
import shutil
import subprocess

from support import DEADLINE, MIB, ROOT
from support.answers import check, only_process
from support.browser import Page
from support.cgroups import cgroup

TOKENS = ("--ink", "--quiet", "--accent", "--bad", "--good", "--warm", "--cool")


def recorded_jobs(case):
    """hourly_job before and after memwhy attached: goroutines that leak, in several scans."""
    jobs = case.hourly_job("debian", "-period", "1s", "-hold", 2, pprof=True)
    jobs.holds()
    memwhy = case.start_memwhy("record", "-p", jobs.pid, "-o", "jobs.memwhy")
    jobs.go_on()
    jobs.until_job(9)
    case.finish(memwhy)
    return "jobs.memwhy"


def report(case, recording, page="page.html"):
    """The page, and the answer that it is to show."""
    case.memwhy("report", recording, "-o", page, cwd=case.folder)
    out, _ = case.memwhy("explain", recording, "--json", "--cells", cwd=case.folder)
    return case.folder / page, check(json.loads(out))


def rows(page, section):
    """Of its first table: the text of each cell, and the exact numbers beside it."""
    return page.value(f"""[...document.querySelector('#{section} table').tBodies[0].rows].map(row => ({{
        text: [...row.cells].map(cell => cell.textContent), values: [...row.querySelectorAll('data')].map(each => Number(each.value)) }}))""")


def summary(page):
    return page.value("[...document.querySelectorAll('.summary data')].map(each => Number(each.value))")


def shown(page, state):
    """The stacks are drawn anew once it is so."""
    page.until(f"(() => {{ const summary = document.querySelector('.summary').textContent; return {state}; }})()")
    return summary(page)


def is_clean(page):
    assert page.problems == [], page.problems
    assert page.requests == [page.file.as_uri()], page.requests


def check_words(page, process):
    assert page.value("document.querySelector('h1 data').value") == str(process["rss"]["bytes"])
    assert process["findings"][0]["headline"] in page.value("document.querySelector('h1').textContent")
    told = page.value("""[...document.querySelectorAll('.finding')].map(each => [each.querySelector('.id').textContent, each.querySelector('.claim').textContent,
        each.querySelector('.returns data')?.value ?? null, [...each.querySelectorAll('li')].map(li => li.textContent)])""")
    assert told == [[found["id"], found["claim"], str(found["recoverable_bytes"]) if found["recoverable_bytes"] is not None and found["kind"] == "problem" else None,
                     found["evidence"] + found["against"]] for found in process["findings"]], told


def waterfall(page):
    """[name, bytes, is a sum]"""
    return page.value("""[...document.querySelectorAll('.waterfall tr')].map(row =>
        [row.querySelector('th').textContent, Number(row.querySelector('data').value), row.classList.contains('sum')])""")


def check_waterfall(page, process):
    """From the profile step by step to RSS, without a rest."""
    steps = waterfall(page)
    names = [name for name, _, _ in steps]
    first = process["heap_profile"]["inuse_bytes"]
    assert (names[0] == "heap profile") == (first is not None), names
    end = names.index("resident (RSS)")
    assert steps[end][1] == process["rss"]["bytes"] == sum(value for _, value, _ in steps[:end]), steps
    owners = {line["id"]: line["bytes"] for line in process["ledger"]}
    named = [(name, value) for name, value, _ in steps[:end] if name in owners]
    assert len(named) >= 2 and all(owners[name] == value for name, value in named), steps


def check_tables(page, process):
    page.until("['time', 'ages', 'rates'].every(id => document.querySelector(`#${id} .uplot canvas`))")  # the last two come after the first screen
    owners = rows(page, "owners")
    assert [(row["text"][0], row["values"][0]) for row in owners] == [(line["id"], line["bytes"]) for line in process["ledger"]]
    aged = [line for line in process["ledger"] if line["ages"]]
    assert [(row["text"][0], row["values"][0]) for row in rows(page, "ages")] == [(line["id"], line["bytes"]) for line in aged]
    resident = collections.Counter()
    for cell in process["cells"]:
        resident[cell["mapping"]] += cell["bytes"]
    # The last scan of the curve by age, against the cells: what a chart shows has no number to read.
    last = [point for point in process["timeline"] if point["ledger"]][-1]
    assert last["ages"] == {age: sum(cell["ages"][age] for cell in process["cells"]) for age in last["ages"]}, last["ages"]
    mappings = rows(page, "mappings")
    assert [row["values"][0] for row in mappings if row["values"]] == sorted(resident.values(), reverse=True)[:60]
    assert str(process["coverage"]["unattributed_bytes"]) in page.value("[...document.querySelectorAll('#coverage data')].map(each => each.value)")
    for sentence in page.value("[...document.querySelectorAll('.sentences li')].map(each => each.textContent)"):
        assert sentence.startswith("Lost: ") or sentence in json.dumps(process) + json.dumps(page.answer["coverage"]), sentence


def check_goroutines(page, process):
    groups = process["goroutines"]["groups"]
    assert [(row["text"][0], row["text"][1]) for row in rows(page, "goroutines")] == [(str(group["count"]), group["wait_reason"] or "running or in a call") for group in groups]
    held = process["go"]["held"]
    assert held["holders"][0]["kind"] == "goroutines" and held["holders"][0]["count"] == 9, held["holders"][0]
    sets = {"Kept by goroutines": sum(group["kept_bytes"] or 0 for group in groups), "Go heap by allocation": sum(each["bytes"] for each in process["allocated"]),
            "Holders": sum(each["bytes"] for each in held["holders"]), "Resident pages": process["rss"]["bytes"]}
    for name, wanted in sets.items():
        page.value(f"[...document.querySelectorAll('.segments button')].find(each => each.textContent === {name!r}).click()")
        assert wanted > 9 * 60 * MIB, (name, wanted, process["goroutines"], held)
        assert shown(page, f"document.querySelector('.summary data')?.value === '{wanted}'") == [wanted], (name, wanted)


def check_stacks(page, process):
    """The tree is the cells: its root, its owners, what a filter leaves of it, whichever way it stands."""
    by_owner = collections.Counter()
    for cell in process["cells"]:
        by_owner[cell["owner"]] += cell["bytes"]
    page.press("v")
    page.until("document.querySelector('#stacks table.tree')")
    for _ in range(2):
        tree = page.value("""[...document.querySelectorAll('#stacks .tree tbody tr')].filter(row => Number(row.getAttribute('aria-level')) <= 2)
            .map(row => [row.cells[0].textContent, Number(row.querySelector('data')?.value)])""")
        assert tree[0] == ["all", process["rss"]["bytes"]], tree[0]
        assert dict(tree[1:]) == dict(by_owner), (tree, by_owner)
        page.press("i")
        page.until("document.querySelector('#stacks .tree')")
    words = "job).load"
    frames = [words in f"{frame['function'] or ''}" for frame in process["frames"]]
    wanted = sum(cell["bytes"] for cell in process["cells"] if cell["stack"] is not None and any(frames[index] for index in process["stacks"][cell["stack"]]["frames"]))
    assert 0 < wanted < process["rss"]["bytes"]
    page.value(f"(() => {{ const box = document.querySelector('input[type=search]'); box.value = {words!r}; box.dispatchEvent(new Event('input')); }})()")
    assert shown(page, f"document.querySelector('.summary data').value === '{wanted}'") == [wanted]
    page.value("(() => { const box = document.querySelector('input[type=search]'); box.value = ''; box.dispatchEvent(new Event('input')); })()")
    shown(page, f"document.querySelector('.summary data').value === '{process['rss']['bytes']}'")
    page.press("v")
    page.until("document.querySelector('#stacks canvas')")


def milliseconds(rfc3339):
    return round(datetime.datetime.fromisoformat(rfc3339).timestamp() * 1000)


def check_moments(page, process):
    """An earlier moment has the pages of its scan, and an interval the difference, by the buttons and by the mouse."""
    scans = {milliseconds(point["t"]): point["rss_bytes"] for point in process["timeline"] if point["ledger"]}
    moments = page.value("[...document.querySelectorAll('script[id^=moment-]')].map(each => Number(each.id.slice(7)))")
    offered = page.value("[...document.querySelector('select[aria-label=at]').options].map(each => each.textContent)")
    assert 2 <= len(moments) <= 8 and set(moments) < set(scans), (moments, scans)
    assert len(offered) == len(moments) + 1 and offered[-1].endswith("last scan"), offered
    assert moments[0] == min(scans) and moments[-1] == sorted(scans)[-2], (moments, scans)
    page.press("[")
    assert shown(page, f"summary.startsWith({offered[-2]!r}) && !summary.includes('last scan')") == [scans[moments[-1]]]
    page.press("]")
    shown(page, "summary.includes('last scan')")
    chart = page.value("(() => { const box = document.querySelector('#time .u-over'); box.scrollIntoView({block: 'center'}); const at = box.getBoundingClientRect(); return [at.left, at.top, at.width, at.height]; })()")
    left, middle = chart[0], chart[1] + chart[3] / 2
    page.click(left + 2, middle, to=(left + chart[2] - 2, middle))
    grown, shrunk, net = shown(page, "summary.includes('grown by')")
    assert grown - shrunk == net == process["rss"]["bytes"] - scans[moments[0]], (grown, shrunk, net)
    assert net > 6 * 60 * MIB
    page.click(left + 2, middle)
    assert shown(page, f"summary.startsWith({offered[0]!r}) && !summary.includes('grown')") == [scans[moments[0]]]


def blocks(file):
    """What is in the page: the answer and its moments, in order of time."""
    found = re.findall(r'<script[^>]* id="(?:answer|moment-\d+)"[^>]*>([^<]*)</script>', file.read_text())
    return [json.loads(gzip.decompress(base64.b64decode(block))) for block in found]


def kept_by_group(process):
    kept, groups = collections.Counter(), process["goroutines"]["groups"] if process["goroutines"] else []
    for group in groups:
        if group["kept_bytes"]:
            kept[group["wait_reason"], group["created_at"], *group["frames"]] += group["kept_bytes"]
    return kept


def choose(page, what, value):
    if what == "set":
        page.value(f"[...document.querySelectorAll('.segments button')].find(each => each.textContent === {value!r}).click()")
    else:
        page.value(f"(() => {{ const list = document.querySelector('select[aria-label={what}]'); list.selectedIndex = {value}; list.dispatchEvent(new Event('change')); }})()")


def check_growth_of_groups(page, process):
    """A group that has more goroutines now is the same group; another unit or theme leaves the interval; what was not read is not growth."""
    moments = [moment["processes"][0] for moment in blocks(page.file)[1:]]
    first = next(index for index, moment in enumerate(moments) if kept_by_group(moment))
    before, now = kept_by_group(moments[first]), kept_by_group(process)
    change = [now[group] - before[group] for group in now.keys() | before.keys()]
    wanted = [sum(each for each in change if each > 0), -sum(each for each in change if each < 0), sum(change)]
    assert wanted[0] > 5 * 60 * MIB and wanted[0] < sum(now.values()), wanted
    choose(page, "set", "Kept by goroutines")
    choose(page, "at", len(moments))
    choose(page, "from", first + 1)
    assert shown(page, "summary.includes('grown by')") == wanted
    for key in "ut":
        page.press(key)
        page.until("document.querySelector('.summary').textContent.includes('grown by')")
        assert summary(page) == wanted, key
    choose(page, "set", "Holders")
    assert shown(page, "summary.includes('not read at')") == []


def test_shows_what_the_json_says(case):
    file, answer = report(case, recorded_jobs(case))
    process = only_process(answer)
    assert len(process["findings"]) >= 1 and process["goroutines"] and process["heap_profile"]["inuse_bytes"]
    with Page(case.folder, file) as page:
        page.answer = answer
        check_words(page, process)
        check_waterfall(page, process)
        check_tables(page, process)
        check_goroutines(page, process)
        check_stacks(page, process)
        check_moments(page, process)
        check_growth_of_groups(page, process)
        is_clean(page)


def test_container_and_its_end(case):
    """Killed by its limit: the waterfall goes on from RSS to what was left below it, and the moment is marked in the chart and named."""
    with cgroup(case, limit=128 * MIB) as group:
        target = group.start(case, case.build / "workloads/container", "anon", 118)
        assert target.stdout.readline() == "ready\n"
        memwhy = case.start_memwhy("record", "-p", target.pid, "-o", "oom.memwhy")
        target.stdin.write("200\n")
        target.stdin.flush()
        assert target.wait(timeout=DEADLINE) == -9
        case.finish(memwhy, how=None)
    file, answer = report(case, "oom.memwhy")
    process = only_process(answer)
    beside = {each["id"]: each["bytes"] for each in process["beside_rss"]}
    assert beside["cgroup_limit"] == 128 * MIB, beside
    rss, usage = process["rss"]["bytes"], beside["cgroup_usage"]
    with Page(case.folder, file) as page:
        steps = waterfall(page)
        names = [name for name, _, _ in steps]
        rest = steps[names.index("resident (RSS)") + 1:]
        assert [value for _, value, _ in rest] == [usage - rss, usage, 128 * MIB - usage, 128 * MIB], (rest, beside)
        oom = next(event for event in process["events"] if event["what"] == "oom")
        assert "out of memory" in page.value("document.querySelector('#time .legend').textContent")
        assert near(page, process, oom) == oom["text"]
        is_clean(page)


def near(page, process, event):
    """What the line below the chart says of what happened under the mouse, where the event is drawn."""
    times = [milliseconds(point["t"]) for point in process["timeline"] if point["t"]]
    share = (milliseconds(event["t"]) - times[0]) / (times[-1] - times[0])
    page.value(f"""(() => {{ const over = document.querySelector('#time .u-over'), box = over.getBoundingClientRect();
        for (const kind of ['mouseenter', 'mousemove'])
            over.dispatchEvent(new MouseEvent(kind, {{bubbles: true, clientX: box.left + box.width * Math.min(Math.max({share}, 0), 1), clientY: box.top + 9}})); }})()""")
    page.until("document.querySelector('#time .readout strong')?.textContent.endsWith('UTC')")
    return page.value("[...document.querySelectorAll('#time .readout span')].at(-1).textContent")


def test_on_paper(case):
    """Black on white, whatever the theme: what is asked of a mouse or a keyboard is not printed, and the answer is."""
    with Page(case.folder, report_of(case, case.build / "workloads/c_heap"), dark=True) as page:
        page.media("print")
        assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert contrast(page, "--ink", "--ground") == 21
        shown = page.value("""Object.fromEntries(['.top button', '.top input', '.controls', '.readout', 'footer', 'h1', '.finding, .verdict', '.waterfall', '#stacks canvas', '#owners table']
            .map(what => [what, document.querySelector(what)?.checkVisibility() ?? null]))""")
        assert [what for what, visible in shown.items() if visible] == ["h1", ".finding, .verdict", ".waterfall", "#stacks canvas", "#owners table"], shown
        assert page.value("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def report_of(case, program, page="live.html"):
    """The page of a C program that is recorded first, for two seconds."""
    target = case.start([program, "freed", 32], stdin=subprocess.PIPE)
    assert target.stdout.readline().strip() == "ready"
    case.memwhy("report", "-p", target.pid, "-d", 2, "-o", page, cwd=case.folder)
    return case.folder / page


def test_names_are_text(case):
    """A program whose path is markup, in a directory whose name ends a script."""
    folder = case.folder / "<" / "script><img src=x onerror=document.title=1>"
    folder.mkdir(parents=True)
    program = folder / "<b>&amp;\u202e\"'"
    shutil.copy(case.build / "workloads/c_heap", program)
    with Page(case.folder, report_of(case, program)) as page:
        text = page.value("document.getElementById('page').textContent")
        assert str(program).replace("\u202e", "\\u202e") in text and "\u202e" not in text
        assert page.value("document.images.length + document.querySelectorAll('main b b, main script, iframe').length") == 0
        assert page.value("document.title") != "1"
        is_clean(page)


def contrast(page, ink, ground):
    """By the formula of WCAG 2, of two tokens as the browser computes them."""
    rgb = page.value(f"""[{ink!r}, {ground!r}].map(name => {{ const probe = document.createElement('span'); probe.style.color = `var(${{name}})`;
        document.body.append(probe); const rgb = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number); probe.remove(); return rgb; }})""")
    lights = []
    for colour in rgb:
        linear = [value / 255 / 12.92 if value / 255 <= 0.04045 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in colour]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_fits_every_screen(case):
    """Wide and narrow, light and dark: nothing is cut at the side, text has contrast, and each control has a name."""
    file = report_of(case, case.build / "workloads/c_heap")
    for width, dark in ((1280, False), (390, True)):
        with Page(case.folder, file, width=width, dark=dark) as page:
            assert page.value("document.documentElement.dataset.theme") == ("dark" if dark else "light")
            assert page.value("document.documentElement.scrollWidth") == width
            poor = {(ink, ground): contrast(page, ink, ground) for ink in TOKENS for ground in ("--ground", "--raised")}
            assert min(poor.values()) >= 4.5, poor
            assert page.value("[...document.querySelectorAll('button, input, select, canvas')].filter(each => !(each.getAttribute('aria-label') || each.textContent.trim())).length") == 0
            assert page.value("[...document.querySelectorAll('table')].every(each => each.caption)")
            page.press("t")
            page.until(f"document.documentElement.dataset.theme === {'light' if dark else 'dark'!r}")
            page.press("?")
            page.until("document.querySelector('dialog').open")
            is_clean(page)


def test_cut_file_says_so(case):
    """A page of which a part is missing: a sentence, not an empty page."""
    file = report_of(case, case.build / "workloads/c_heap")
    text = file.read_text()
    start = text.index('id="answer">') + 2000
    cut = case.folder / "cut.html"
    cut.write_text(text[:start] + text[text.index("</script>", start):])
    with Page(case.folder, cut) as page:
        assert page.value("document.getElementById('page').textContent").startswith("The report cannot be shown: ")


def test_nothing_else_runs(case):
    """The policy of the file holds: a script that came in would not run, and nothing is fetched."""
    file = report_of(case, case.build / "workloads/c_heap")
    with Page(case.folder, file) as page:
        page.value("(() => { const s = document.createElement('script'); s.textContent = 'document.title = \"ran\"'; document.body.append(s); })()")
        page.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title = 1\">')")
        assert page.value("fetch('http://127.0.0.1:9/').then(() => 'came', error => error.name)") == "TypeError"
        assert page.value("document.title") not in ("ran", "1")
        assert any("Content Security Policy" in problem for problem in page.problems), page.problems


def test_same_sources_same_page(case):
    """Bundled again in another folder: the same bytes as in the program."""
    made = case.build / "memwhy_html"
    again = case.folder / "again"
    again.mkdir()
    for name in ("package.json", "node_modules"):
        os.symlink(made / name, again / name)
    done = subprocess.run([shutil.which("node") or shutil.which("nodejs"), ROOT / "userspace/html/web/build.mjs", again], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (again / "bundle.cpp").read_bytes() == (made / "bundle.cpp").read_bytes()
    lock = (ROOT / "userspace/html/web/package-lock.json").read_text()
    assert '"resolved"' not in lock and '"integrity"' in lock

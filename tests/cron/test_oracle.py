# SPDX-License-Identifier: MIT
"""When entries start: creel beside Debian's cron, which lives through the same minutes by a clock of its own, and beside croniter.

Debian's cron is what counts. It starts a job once for each minute that the clocks left out, and creel once for all of them: both are
sets of minutes here.
"""

import datetime
import random
import subprocess
import zoneinfo

import croniter
import pytest

from conftest import BUILD, creel_starts, debians_cron

NAMES = ["sun", "Mon", "TUE", "wed", "thu", "fri", "sat"]
MONTHS = ["jan", "feb", "Mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "DEC"]

# what people write
KNOWN = ["@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@annually", "@midnight", "* * * * *", "*/5 * * * *", "*/30 * * * *",
         "0 * * * *", "15 2 * * *", "30 2 * * *", "0,30 2 * * *", "*/20 2 * * *", "0 2 * * *", "59 1 * * *", "0 3 * * *", "30 0-4 * * *",
         "30 */2 * * *", "0 0 * * *", "15 0 * * *", "0 0 1,15 * sun", "0 0 */2 * sun", "0 0 1,15 * */2", "0 12 31 * *", "0 0 29 2 *",
         "0 9-17 * * mon-fri", "5 4 * * 7", "5 4 * * 0", "0 22 * * 1-5", "1-59/7 1-3 * * *", "0-59 2 * * *", "* 2 * * *", "30 2 28-31 3 sun",
         "30 2 * 3,10 6-7", "0 0 13 * fri", "45 23 28-31 * *", "0 4 8-14 * sat", "10 2,3 * oct sun"]


def field(some, low, high, names=None):
    def number():
        value = some.randint(low, high)
        if names and some.random() < 0.4:
            return names[(value - low) % len(names)]
        return str(value)

    def part():
        kind = some.random()
        if kind < 0.5:
            return number()
        first, last = sorted((some.randint(low, high), some.randint(low, high)))
        step = f"/{some.randint(1, high // 2 + 1)}" if some.random() < 0.5 else ""
        return f"{first}-{last}{step}"

    if some.random() < 0.3:
        return "*"
    if some.random() < 0.15:
        return f"*/{some.randint(1, high // 2 + 1)}"
    return ",".join(part() for _ in range(some.choice([1, 1, 1, 2, 3])))


def schedules(count, seed):
    """Deterministic. Most have few starts: each is a process of cron's."""
    some = random.Random(seed)
    found = list(KNOWN)
    while len(found) < count:
        minute = str(some.randint(0, 59)) if some.random() < 0.7 else field(some, 0, 59)
        hour = field(some, 0, 23) if some.random() < 0.6 else str(some.randint(0, 4))
        found.append(" ".join([minute, hour, field(some, 1, 31), field(some, 1, 12, MONTHS), field(some, 0, 7, NAMES)]))
    return found


def changes(zone, first, last):
    """The minutes at which its clocks are put, in those years."""
    there = zoneinfo.ZoneInfo(zone)

    def offset(minute):
        return datetime.datetime.fromtimestamp(minute * 60, there).utcoffset()

    minute = int(datetime.datetime(first, 1, 1, tzinfo=datetime.timezone.utc).timestamp()) // 60
    end = int(datetime.datetime(last + 1, 1, 1, tzinfo=datetime.timezone.utc).timestamp()) // 60
    while minute < end:
        if offset(minute) != offset(minute + 1440):
            low, high = minute, minute + 1440
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            yield high
        minute += 1440


def compare(lines, zone, begin, end, folder):
    named = {f"n{number}": line for number, line in enumerate(lines)}
    theirs = {(minute, named[name]) for minute, name in
              debians_cron([f"{line} {name}" for name, line in named.items()], zone, begin, end, folder)}
    ours = creel_starts(named.values(), zone, begin, end)
    assert theirs, "cron starts something"
    assert ours == theirs, f"{zone}: only creel {sorted(ours - theirs)[:5]}, only cron {sorted(theirs - ours)[:5]}"
    return len(theirs)


# an hour; half an hour; at midnight; backwards in summer; a day that was left out
ZONES = [("Europe/Berlin", 2024, 2026), ("America/New_York", 2027, 2028), ("Australia/Lord_Howe", 2025, 2025), ("America/Santiago", 2025, 2025),
         ("America/Asuncion", 2023, 2023), ("Africa/Casablanca", 2025, 2025), ("Pacific/Apia", 2011, 2011)]


@pytest.mark.parametrize("zone,first,last", ZONES)
def test_clocks_that_are_put(tmp_path, zone, first, last):
    lines = schedules(150, 1)
    seen = 0
    for at in changes(zone, first, last):
        seen += compare(lines, zone, at - 200, at + 260, tmp_path)
    assert seen > 500


@pytest.mark.parametrize("year", range(2024, 2034, 3))
def test_days_of_years(tmp_path, year):
    """A day in each of these years, its whole month's end with it, in zones far from each other."""
    some = random.Random(year)
    begin = int(datetime.datetime(year, some.randint(1, 12), 28, 12, tzinfo=datetime.timezone.utc).timestamp()) // 60
    lines = [line for line in schedules(400, year) if not line.startswith("*")]
    assert compare(lines, some.choice(["UTC", "Asia/Tokyo", "Asia/Kathmandu"]), begin, begin + 4 * 1440, tmp_path) > 300


def test_what_a_command_is(tmp_path):
    """% and backslashes in a command."""
    commands = ["a \\% b", "a \\\\ b", "a \\x b", "a%b", "a \\\\% b", "a \\\\\\% b", "a 'b' \"$c\"", "a  b", "a;b #c", "\\%%"]
    theirs = {command for _, command in
              debians_cron([f"0 0 * * * {command}" for command in commands], "UTC", 29580480 - 1, 29580480 + 1, tmp_path)}
    done = subprocess.run([BUILD / "tests/starts", "commands", "0"], input="".join(f"0 0 * * * {command}\n" for command in commands),
                          capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()) == theirs


def plain_days(line):
    """croniter takes */2 in a field of days for a restriction, and 0-6 for none: Debian's cron looks whether there is a star."""
    expanded = croniter.croniter.expand(line)[0]
    return all((line.split()[at] == "*") == (expanded[at] == ["*"]) and not line.split()[at].startswith("*/") for at in (2, 4))


def test_years_beside_croniter():
    """Five years of minutes without changes of the clocks, each start of schedules with few, the first ones of the others."""
    lines = [line for line in schedules(220, 7) if not line.startswith("@") and plain_days(line)]
    begin = int(datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc).timestamp()) // 60
    end = begin + 5 * 366 * 1440
    for line in lines:
        theirs = []
        oracle = croniter.croniter(line, begin * 60 - 1)
        try:
            while len(theirs) < 60:
                minute = int(oracle.get_next(float)) // 60
                if minute > end:
                    break
                theirs.append(minute)
        except croniter.CroniterBadDateError:
            pass  # never
        until = theirs[-1] if len(theirs) == 60 else end
        ours = sorted(minute for minute, _ in creel_starts([line], "UTC", begin, until))
        assert ours == theirs, line


# ---- what the service manager is told ----------------------------------------------------------------------------------

def calendars(text, now):
    done = subprocess.run([BUILD / "tests/starts", "calendar", str(now)], input=text, capture_output=True, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        schedule, calendar = line.split("\t")
        found.setdefault(schedule, []).append(calendar.removeprefix("OnCalendar="))
    return found


def elapses(calendar, begin, count, zone):
    """When systemd says that a calendar elapses, minutes since the epoch."""
    at = datetime.datetime.fromtimestamp(begin * 60, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    done = subprocess.run(["systemd-analyze", "calendar", f"--base-time={at}", f"--iterations={count}", calendar], capture_output=True,
                          text=True, check=True, env={"TZ": zone, "PATH": "/usr/bin:/bin", "LC_ALL": "C"}, timeout=60)
    found = []
    for line in done.stdout.splitlines():
        key, _, when = line.strip().partition(": ")
        if key == "(in UTC)" or (zone == "UTC" and (key == "Next elapse" or key.startswith("Iter. #") or key.startswith("Iteration #"))):
            if when != "never":
                stamp = datetime.datetime.strptime(when.strip()[4:], "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=datetime.timezone.utc)
                found.append(int(stamp.timestamp()) // 60)
    return found


def test_calendars_elapse_when_cron_starts():
    lines = schedules(120, 3)
    begin = int(datetime.datetime(2026, 1, 31, 20, tzinfo=datetime.timezone.utc).timestamp()) // 60
    told = calendars("".join(f"{line} x\n" for line in lines), begin * 60)
    for line in lines:
        ours = sorted(minute for minute, _ in creel_starts([line], "UTC", begin + 1, begin + 366 * 1440))[:40]
        theirs = set()
        for calendar in told.get(line, []):
            theirs.update(elapses(calendar, begin, 40, "UTC"))
        until = ours[-1] if len(ours) == 40 else begin + 366 * 1440
        assert sorted(minute for minute in theirs if minute <= until) == ours, (line, told.get(line))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Santiago", "Australia/Lord_Howe"])
def test_no_start_is_missed_where_clocks_are_put(zone):
    """There a timer may elapse too often - the service asks - but at each start."""
    lines = ["* * * * *", "*/5 * * * *", "30 2 * * *", "0,30 2 * * *", "*/30 2 * * *", "15 0 * * *", "0 * * * *", "0 3 * * *", "0-59 2 * * *", "30 1 * * sun"]
    for at in changes(zone, 2027, 2027):
        told = calendars(f"CRON_TZ={zone}\n" + "".join(f"{line} x\n" for line in lines), (at - 2000) * 60)
        for line in lines:
            starts = {minute for minute, _ in creel_starts([line], zone, at - 110, at + 110)}
            seen = set()
            for calendar in told[line]:
                seen.update(elapses(calendar, at - 112, 240, "UTC"))
            assert starts <= seen, (zone, line, sorted(starts - seen)[:5])

"""Dates and times in the names of files and in the descriptions of bands; no file is opened here.

`named_time` reads a file name, where only the usual forms of products count. `named_moment` reads every usual form,
because it decides only whether two bands are of one moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

_DATE = r"(?P<year>(?:19|20)\d{2})(?P<between>[-_]?)(?P<month>\d{2})(?P=between)(?P<day>\d{2})"
# A clock time follows a "T", or it is six digits right after the date. Four digits may be a tile, six an orbit.
_CLOCK = (
    r"(?:[-_]{0,2}T[-_]?(?P<hour>\d{2})(?P<colon>[-:.]?)(?P<minute>\d{2})(?:(?P=colon)(?P<second>\d{2}))?(?!\d)"
    r"|[-_]?(?P<digits>\d{6})(?!\d))"
)
_TIME = re.compile(rf"(?<!\d){_DATE}{_CLOCK}?", re.IGNORECASE)
# The start of a product: `S1A_IW_GRDH_1SDV_20210605T170525`, `s1a-iw-grd-vv-...`, `S1A_IW_...` of HyP3, OPERA RTC-S1.
# The words between are too short for another date.
_PRODUCT_START = re.compile(
    r"(?<![A-Za-z0-9])(?:S1[A-D][_-]+[A-Z]{2}[_-]+(?:[A-Z0-9]{1,6}[_-]+){0,4}|RTC-S1_[A-Z0-9]+-[A-Z0-9]+-[A-Z0-9]+_)"
    r"(?=\d{8}T\d{6})",
    re.IGNORECASE,
)

# Forms that may be other numbers are dates only from the first year of Sentinel-1 on.
_LATER_YEAR = r"20(?:1[4-9]|[2-4]\d)"
_NAMES = (
    *("jan(?:uary)?", "feb(?:ruary)?", "mar(?:ch)?", "apr(?:il)?", "may", "june?", "july?", "aug(?:ust)?"),
    *("sept?(?:ember)?", "oct(?:ober)?", "nov(?:ember)?", "dec(?:ember)?"),
)
_MONTHS = tuple(name[:3] for name in _NAMES)
_MONTH = rf"(?P<name>{'|'.join(_NAMES)})"
_WORD_START, _WORD_END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
# The first form that gives a possible date counts, so the most precise ones come first. A general date parser is not
# used: it also finds dates in numbers and words of ordinary names, such as the 0 in `Sigma0_VV`.
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<!\d){_DATE}",  # 20210605, 2021-06-05, 2021_06_05, also with a time after it
        r"(?<!\d)(?P<year>(?:19|20)\d{2})(?P<between>[-_/. ])(?P<month>\d{1,2})(?P=between)(?P<day>\d{1,2})(?!\d)",
        r"(?<!\d)(?P<day>\d{1,2})(?P<between>[-_/. ])(?P<month>\d{1,2})(?P=between)(?P<year>(?:19|20)\d{2})(?!\d)",
        r"(?<!\d)(?P<month>\d{1,2})(?P<between>[-_/. ])(?P<day>\d{1,2})(?P=between)(?P<year>(?:19|20)\d{2})(?!\d)",
        rf"(?<!\d)(?P<day>\d{{2}})(?P<month>\d{{2}})(?P<year>{_LATER_YEAR})(?!\d)",
        rf"{_WORD_START}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[-_/. ]?{_MONTH}[-_/., ]{{0,2}}(?P<year>\d{{4}})(?!\d)",
        rf"{_WORD_START}{_MONTH}[-_. ]{{0,2}}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?[-_., ]{{1,2}}(?P<year>\d{{4}})(?!\d)",
        rf"(?<!\d)(?P<year>(?:19|20)\d{{2}})[-_/. ]?{_MONTH}[-_/. ]?(?P<day>\d{{1,2}})(?!\d)",
        rf"(?<!\d)(?P<year>{_LATER_YEAR})-?(?P<of_year>\d{{3}})(?!\d)",  # 2021156: the day of the year
        r"(?<!\d)(?P<epoch>1[4-9]\d{8})(?!\d)",  # seconds since 1970
        rf"(?<!\d)(?P<year>{_LATER_YEAR})[-_/. ]?(?P<month>\d{{2}})(?!\d)",
        rf"(?<!\d)(?P<month>\d{{2}})[-_/.](?P<year>{_LATER_YEAR})(?!\d)",
        rf"{_WORD_START}{_MONTH}[-_., ]{{0,2}}(?P<year>\d{{4}})(?!\d)",
        rf"(?<!\d)(?P<year>{_LATER_YEAR})[-_. ]?{_MONTH}{_WORD_END}",
        rf"{_WORD_START}(?P<short>1[4-9]|[2-4]\d)(?P<month>\d{{2}})(?P<day>\d{{2}})(?:T\d{{4}}|{_WORD_END})",  # 210605
        rf"{_WORD_START}(?P<day>\d{{1,2}})[-_. ]?{_MONTH}{_WORD_END}",
        rf"{_WORD_START}{_MONTH}[-_. ]{{0,2}}(?P<day>\d{{1,2}}){_WORD_END}",
        rf"{_WORD_START}{_MONTH}{_WORD_END}",
        rf"{_WORD_START}(?P<year>{_LATER_YEAR}){_WORD_END}",
    )
)
_ORDER = re.compile(
    r"(?:(?<![A-Za-z0-9])|(?<=VV)|(?<=VH))(?:"
    r"(?P<before>pre(?:event|flood|crisis)?|before|mst|master|reference|archive)"
    r"|(?P<after>post(?:event|flood|crisis)?|after|slv(?P<slave>\d*)|slave|secondary|during|crisis)"
    r"|(?:t|(?:date|time|epoch)[-_ ]?)(?P<number>\d))(?![A-Za-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Moment:
    """What a name says about the time of an image; None for everything it does not say.

    Args:
        year: The year.
        month: The month.
        day: The day of the month.
        order: `before`, `after`, or the place in a series such as `t1`; only without a date.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    order: str | None = None

    def differs(self, other: Moment) -> bool:
        """Return whether two moments cannot be the same: June 2021 and 5 June 2021 can."""
        if self.order is not None or other.order is not None:
            return self != other
        pairs = ((self.year, other.year), (self.month, other.month), (self.day, other.day))
        return any(one != two for one, two in pairs if one is not None and two is not None)


def several_moments(moments: Iterable[Moment | None]) -> bool:
    """Return whether two of the moments cannot be the same; None takes no part."""
    known = [moment for moment in moments if moment is not None]
    return any(one.differs(two) for place, one in enumerate(known) for two in known[place + 1 :])


def named_time(name: str) -> datetime | None:
    """Return the time in the name of a file, in UTC.

    The start in the name of a Sentinel-1 product comes first, then the first date. A date without a time of day is its
    midnight, and `day_or_time` shows it as a day.

    Args:
        name: The name without its extension.
    """
    start = _PRODUCT_START.search(name)
    texts = (name[start.end() :], name) if start is not None else (name,)
    for text in texts:
        for match in _TIME.finditer(text):
            try:
                day = date(int(match["year"]), int(match["month"]), int(match["day"]))
            except ValueError:
                continue  # eight digits that are not a date, such as an orbit and a frame without a separator
            return datetime.combine(day, _clock(match), UTC)
    return None


def named_moment(text: str) -> Moment | None:
    """Return the first date in a description or name, in any usual form, or else a word such as `before` or `t1`.

    `05/06/2021` is 5 June, unless only the other order is possible. None if there is none of them.
    """
    for form in _FORMS:
        for match in form.finditer(text):
            if (moment := _moment(match.groupdict())) is not None:
                return moment
    if (word := _ORDER.search(text)) is None:
        return None
    if word["number"] is not None:
        return Moment(order=f"t{word['number']}")
    return Moment(order="before" if word["before"] else f"after{word['slave'] or ''}")


def file_moment(name: str) -> Moment | None:
    """Return the moment that the name of a file states: that of `named_time`, or else that of `named_moment`."""
    if (found := named_time(name)) is not None:
        return Moment(found.year, found.month, found.day)
    return named_moment(name)


def day_or_time(moment: datetime, day: str, clock: str) -> str:
    """Return a time as text; exactly midnight is a day whose time is not known.

    Args:
        moment: A time in UTC.
        day: The format of the day, such as `%Y-%m-%d`.
        clock: The format of what follows if the time of day is known, such as ` %H:%M UTC`.
    """
    return moment.strftime(day if moment.time() == time() else day + clock)


def acquired_text(moment: datetime) -> str:
    """Return the time of a scene, such as `05 June 2021, 17:05 UTC`; only the day if its name has no time of day."""
    return day_or_time(moment, "%d %B %Y", ", %H:%M UTC")


def is_before(one: datetime, other: datetime) -> bool | None:
    """Return whether a time is before another; exactly midnight is a day whose time is not known.

    None if that decides: both are of the same day, and a time of day is not known.
    """
    if one.date() == other.date() and time() in (one.time(), other.time()):
        return None
    return one < other


def _clock(match: re.Match[str]) -> time:
    """Return the time of day after a date; midnight if there is none."""
    digits = match["digits"]
    texts = (
        (digits[:2], digits[2:4], digits[4:]) if digits else (match["hour"], match["minute"], match["second"] or "0")
    )
    try:
        return time(int(texts[0]), int(texts[1]), int(texts[2])) if texts[0] else time()
    except ValueError:
        return time()  # a tile or an orbit, not a time


def _moment(groups: dict[str, str | None]) -> Moment | None:
    """Return the date of the groups of a form, None if there is no such day."""
    if epoch := groups.get("epoch"):
        found = datetime.fromtimestamp(int(epoch), UTC)
        return Moment(found.year, found.month, found.day)
    number = {key: int(text) for key in ("year", "month", "day") if (text := groups.get(key))}
    if short := groups.get("short"):
        number["year"] = 2000 + int(short)
    if name := groups.get("name"):
        number["month"] = _MONTHS.index(name[:3].lower()) + 1
    try:
        if of_year := groups.get("of_year"):
            found_day = date(number["year"], 1, 1) + timedelta(int(of_year) - 1)
            valid = int(of_year) > 0 and found_day.year == number["year"]
            return Moment(found_day.year, found_day.month, found_day.day) if valid else None
        date(number.get("year", 2000), number.get("month", 1), number.get("day", 1))  # 2000 has a 29 February
    except ValueError:
        return None
    return Moment(number.get("year"), number.get("month"), number.get("day"))

"""Names that others chose, made safe to show."""

import re

UNSEEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters: colours, cursor, title, clipboard of a terminal
    r"\u2028\u2029"  # separators of lines and paragraphs
    r"\u202a-\u202e\u2066-\u2069"  # what turns the direction of the text that follows
    r"\ud800-\udfff]"  # halves of characters, as file names that are no UTF-8 have them; nothing can print them
)
MARKS = re.compile(r"[&<>|\\`*\[\]]")  # what Markdown or HTML takes for more than a letter


def harmless(text: str) -> str:
    r"""The text on one line, with all that a terminal would obey, or could not print, written as an escape.

    Letters of any script, and emoji, stay as they are.

    >>> print(harmless("caf\u00e9 \x1b[2Jweb\n"))
    café \x1b[2Jweb\n
    """
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_markdown(text: str) -> str:
    """The text as Markdown that shows it letter by letter: no table, link, picture or tag begins or ends in it.

    >>> print(in_markdown("a|b <img>"))
    a&#124;b &lt;img&gt;
    """
    return MARKS.sub(_entity, harmless(text))


def _entity(found: re.Match[str]) -> str:
    return {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(found[0]) or f"&#{ord(found[0])};"

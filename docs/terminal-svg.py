#!/usr/bin/env python3
"""Turns what a terminal shows into an SVG picture.

Reads text with colour codes, as `tmux capture-pane -e -p` prints it, from the standard input and writes the picture to the standard
output. Nothing is added: each character becomes a character, block elements become rectangles. `docs/demo-picture.sh` uses it.

    tmux capture-pane -e -p -t SESSION | python3 docs/terminal-svg.py "what it shows" > picture.svg
"""

import re
import sys
from xml.sax.saxutils import escape

# Of one character in the picture's units, near the shape of common monospace fonts.
WIDTH, HEIGHT, SIZE = 8.4, 18, 14
# Of a character cell, where letters stand.
BASELINE = 13.5
MARGIN = 12
BACKGROUND, FOREGROUND = "#16181d", "#d8dae0"
# The eight colours of terminals and their bright ones, readable on the background.
COLORS = ["#4a4f5a", "#f2646e", "#5fc27e", "#e5c05b", "#6aa4f0", "#c58af0", "#5cc5d0", "#d8dae0",
          "#8a8f9a", "#ff8088", "#7fe09a", "#ffd97a", "#8abcff", "#dca8ff", "#7ce3ee", "#ffffff"]
FAINT = 0.6
# Block elements: the part of the cell that is full, from below.
EIGHTHS = {character: (index + 1) / 8 for index, character in enumerate("▁▂▃▄▅▆▇█")}
SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}
WORDS = re.compile(r"\S+(?: \S+)*")
SGR = re.compile(r"\x1b\[([\d;]*)m")


class Style:
    """What the codes so far say of the characters to come."""

    def __init__(self):
        self.color, self.bold, self.faint = None, False, False

    def apply(self, codes):
        codes = [int(code or 0) for code in codes.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.__init__()
            elif code == 1:
                self.bold = True
            elif code == 2:
                self.faint = True
            elif code == 22:
                self.bold = self.faint = False
            elif 30 <= code <= 37:
                self.color = code - 30
            elif 90 <= code <= 97:
                self.color = code - 90 + 8
            elif code == 39:
                self.color = None
            elif code == 49:
                pass  # The terminal's own background, which all of it has.
            elif code == 38 and codes[:1] == [5] and codes[1] < len(COLORS):
                self.color, codes = codes[1], codes[2:]
            else:
                sys.exit(f"terminal-svg: the code {code} is not served")

    def look(self):
        fill = FOREGROUND if self.color is None else COLORS[self.color]
        return fill, self.bold, self.faint


def cells(line):
    """The line's characters, each with its look."""
    style, found, at = Style(), [], 0
    for code in SGR.finditer(line):
        found += [(character, style.look()) for character in line[at:code.start()]]
        style.apply(code.group(1))
        at = code.end()
    found += [(character, style.look()) for character in line[at:]]
    return found


def runs(found):
    """Neighbours that can be drawn as one: text of one look, or the same block."""
    run, begin = [], 0
    for column, (character, look) in enumerate(found):
        kind = character if character in EIGHTHS or character in SHADES else "text"
        if run and (kind, look) != (run[0][0], run[0][2]):
            yield begin, run
            run = []
        if not run:
            begin = column
        run.append((kind, character, look))
    if run:
        yield begin, run


def draw(row, begin, run):
    kind, _, (fill, bold, faint) = run[0]
    x, y, width = MARGIN + begin * WIDTH, MARGIN + row * HEIGHT, len(run) * WIDTH
    opacity = f' opacity="{FAINT}"' if faint else ""
    if kind in EIGHTHS:
        height = HEIGHT * EIGHTHS[kind]
        return f'<rect x="{x:.1f}" y="{y + HEIGHT - height:.2f}" width="{width:.1f}" height="{height:.2f}" fill="{fill}"{opacity}/>'
    if kind in SHADES:
        return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{HEIGHT}" fill="{fill}" opacity="{SHADES[kind]}"/>'
    text = "".join(character for _, character, _ in run)
    weight = ' font-weight="bold"' if bold else ""
    # Words that one blank parts; wider gaps are left to the place of the next words, for not every viewer keeps blanks.
    words = [
        f'<text x="{x + group.start() * WIDTH:.1f}" y="{y + BASELINE:.1f}" textLength="{len(group.group()) * WIDTH:.1f}" '
        f'lengthAdjust="spacingAndGlyphs" fill="{fill}"{weight}{opacity}>{escape(group.group())}</text>'
        for group in WORDS.finditer(text)
    ]
    return "\n".join(words)


def main():
    title = sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__)
    lines = [cells(line) for line in sys.stdin.read().rstrip("\n").split("\n")]
    width = MARGIN * 2 + WIDTH * max(len(line) for line in lines)
    height = MARGIN * 2 + HEIGHT * len(lines)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
          f'font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="{SIZE}">')
    print(f"<title>{escape(title)}</title>")
    print(f'<rect width="100%" height="100%" rx="6" fill="{BACKGROUND}"/>')
    for row, line in enumerate(lines):
        for begin, run in runs(line):
            element = draw(row, begin, run)
            if element:
                print(element)
    print("</svg>")


main()

"""Line charts as SVG, light and dark, without a library."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 130, 48, 54

STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #333 }
.title { font-size: 16px; font-weight: 600 }
.axis { stroke: #888; fill: none }
.grid { stroke: #ddd; fill: none }
.line { fill: none; stroke-width: 2 }
.s0 { stroke: #1668b8 } .s0f { fill: #1668b8 }
.s1 { stroke: #8a8a8a } .s1f { fill: #8a8a8a }
.s2 { stroke: #c2571a } .s2f { fill: #c2571a }
.paper { fill: #fff }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .axis { stroke: #888 } .grid { stroke: #3a3a3a }
  .paper { fill: #16181c }
  .s0 { stroke: #6cb2ff } .s0f { fill: #6cb2ff }
  .s1 { stroke: #a0a0a0 } .s1f { fill: #a0a0a0 }
  .s2 { stroke: #ff9d5c } .s2f { fill: #ff9d5c }
}"""


def nice_step(span, wanted):
    raw = span / wanted
    power = 10 ** math.floor(math.log10(raw))
    for f in (1, 2, 5, 10):
        if raw <= f * power:
            return f * power
    return 10 * power


def label(x):
    for limit, unit in ((10 ** 6, " M"), (10 ** 4, " k")):
        if x >= limit:
            return "%g%s" % (round(x / (1000 if unit == " k" else limit), 2),
                             unit)
    return "{:,.0f}".format(x) if x >= 100 else "%g" % round(x, 3)


def line_chart(path, title, x_label, y_label, series, log_x=False,
               log_y=False):
    """series: {name: [(x, y), …]}; y starts at 0 unless it is logarithmic."""
    points = [p for s in series.values() for p in s]
    xs = sorted({x for x, _ in points})
    top = max(y for _, y in points)
    bottom = min(y for _, y in points)
    if log_y:
        low = 10 ** math.floor(math.log10(bottom))
        high = 10 ** math.ceil(math.log10(top))
        ticks = [low]
        while ticks[-1] < high:
            ticks.append(ticks[-1] * 10)
    else:
        step = nice_step(top, 5)
        low, high = 0, math.ceil(top * 1.05 / step) * step
        ticks = [i * step for i in range(int(round(high / step)) + 1)]

    def place(v, a, b, log):
        if log:
            v, a, b = math.log(v), math.log(a), math.log(b)
        return (v - a) / (b - a) if b > a else 0.5

    def px(x):
        first = xs[0] if log_x else 0
        return LEFT + place(x, first, xs[-1], log_x) * (WIDTH - LEFT - RIGHT)

    def py(y):
        return HEIGHT - BOTTOM - place(y, low, high, log_y) \
            * (HEIGHT - TOP - BOTTOM)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
           'role="img" aria-label="%s">' % (WIDTH, HEIGHT, escape(title)),
           "<style>%s</style>" % STYLE,
           '<rect class="paper" width="100%" height="100%"/>',
           '<text class="title" x="%d" y="26">%s</text>'
           % (LEFT, escape(title))]
    for t in ticks:
        y = py(t)
        out.append('<path class="grid" d="M%d %.1fH%d"/>'
                   % (LEFT, y, WIDTH - RIGHT))
        out.append('<text x="%d" y="%.1f" text-anchor="end">%s</text>'
                   % (LEFT - 8, y + 4, label(t)))
    if log_x:
        marks = [x for x in xs if px(x) < WIDTH]
    else:
        step = nice_step(xs[-1], 6)
        marks = [i * step for i in range(int(xs[-1] / step) + 1)]
    last = -1000
    for x in marks:
        if px(x) - last < 38:
            continue
        last = px(x)
        out.append('<path class="axis" d="M%.1f %dv5"/>'
                   % (last, HEIGHT - BOTTOM))
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>'
                   % (last, HEIGHT - BOTTOM + 20, label(x)))
    out.append('<path class="axis" d="M%d %dH%d"/>'
               % (LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT))
    out.append('<text x="%d" y="%d" text-anchor="middle">%s</text>'
               % ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, escape(x_label)))
    out.append('<text transform="translate(18 %d) rotate(-90)" '
               'text-anchor="middle">%s</text>'
               % ((TOP + HEIGHT - BOTTOM) / 2, escape(y_label)))
    names = []
    for i, (name, s) in enumerate(series.items()):
        d = "M" + "L".join("%.1f %.1f" % (px(x), py(y)) for x, y in s)
        out.append('<path class="line s%d" d="%s"/>' % (i, d))
        if len(s) <= 20:
            out += ['<circle class="s%df" cx="%.1f" cy="%.1f" r="3"/>'
                    % (i, px(x), py(y)) for x, y in s]
        names.append([py(s[-1][1]), i, name])
    names.sort()
    for a, b in zip(names, names[1:]):
        b[0] = max(b[0], a[0] + 16)
    for y, i, name in names:
        out.append('<text class="s%df" x="%d" y="%.1f">%s</text>'
                   % (i, WIDTH - RIGHT + 10, y + 4, escape(name)))
    out.append("</svg>")
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")

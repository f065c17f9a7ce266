"""Draws the medians as an SVG."""

COLORS = {"lambdactl": "#d9480f", "unprivileged": "#f08c00", "docker": "#4c6ef5", "skopeo": "#868e96", "podman": "#ae3ec9"}
LABELS = {"cold": "nothing is there yet", "app": "1 MB changed", "none": "nothing changed"}
NAMES = {"lambdactl": "lambdactl, as root", "unprivileged": "lambdactl, as a user"}
LINKS = {"loop": "loopback", "link": "40 ms, 200 Mbit/s"}
WIDTH, LEFT, BAR, GAP = 720, 190, 16, 26


def svg(medians: dict, links=LINKS) -> str:
    """`medians` maps (link, case) to {pusher: seconds}. Bars of one case share a scale."""
    rows, y = [], 34
    names = NAMES if any("unprivileged" in pushers for pushers in medians.values()) else {}
    for (link, case), pushers in medians.items():
        title = f"{LABELS.get(case, case)} ({links.get(link, link)})"
        rows.append(f'<text x="8" y="{y}" font-weight="bold">{title}</text>')
        y += 8
        longest = max(pushers.values())
        for pusher, seconds in sorted(pushers.items(), key=lambda item: item[1]):
            width = max(2, (WIDTH - LEFT - 90) * seconds / longest)
            rows.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{names.get(pusher, pusher)}</text>')
            rows.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{COLORS.get(pusher, "#495057")}"/>')
            rows.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}">{seconds:.2f} s</text>')
            y += BAR + 4
        y += GAP
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        f'font-family="system-ui, sans-serif" font-size="13">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>\n<g fill="#212529">\n{body}\n</g>\n</svg>\n'
    )

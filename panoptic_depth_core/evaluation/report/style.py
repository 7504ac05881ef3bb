# SPDX-FileCopyrightText: 2026 panoptic_depth contributors
# SPDX-License-Identifier: Apache-2.0
"""How the page of a report looks: on a screen, a phone or paper, in the light or in the dark."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2026;--muted:#59636e;
--line:#dde2e8;--accent:#0b5fb4;--good:#1a7f37;--good-card:#e7f5ea;--bad:#b3261e;--bad-card:#fdecea;
--baseline:#3a4149;--other:#b4bcc5;--s1:#2272b4;--s2:#e07b24;--s3:#2a9d72;--s4:#b3427f;--s5:#7a5cc4;
--s6:#a37f00;--s7:#1498b8;--s8:#8a5a3c}
@media screen and (prefers-color-scheme:dark){:root{--page:#111418;--card:#1a1f25;--ink:#e4e8ec;
--muted:#9da7b3;--line:#343c46;--accent:#79b8ff;--good:#56d37f;--good-card:#12301d;--bad:#ff8f87;
--bad-card:#3b1917;--baseline:#dfe4ea;--other:#56606b;--s1:#5ba8e6;--s2:#f39a4e;--s3:#47c79a;
--s4:#e57fb4;--s5:#a890ee;--s6:#d9b53a;--s7:#4fc3de;--s8:#c4946f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif;overflow-wrap:anywhere}
header,main,footer{max-width:68rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2.25rem}
h1{font-size:1.9rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .4rem}
h2{font-size:1.35rem;line-height:1.25;margin:2.75rem 0 .9rem;padding-bottom:.35rem;
border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .5rem}
p{margin:.6rem 0;max-width:46rem}
.line,footer{color:var(--muted)}
.line{margin:0 0 1.1rem}
a{color:var(--accent)}
nav ul{display:flex;flex-wrap:wrap;gap:.35rem .45rem;list-style:none;margin:0;padding:0}
nav a{display:block;padding:.2rem .7rem;border:1px solid var(--line);border-radius:1rem;
background:var(--card);font-size:.875rem;text-decoration:none}
.mood{max-width:none;padding:.65rem .9rem;border-radius:.4rem;font-weight:600;
border-left:.3rem solid}
p.good{background:var(--good-card);color:var(--good)}
p.bad{background:var(--bad-card);color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(13.5rem,1fr));gap:.75rem;
margin:1rem 0;padding:0;list-style:none}
.cards li,figure{background:var(--card);border:1px solid var(--line);border-radius:.5rem}
.cards li{padding:.8rem .95rem;display:flex;flex-direction:column}
.cards .value{font-size:1.65rem;line-height:1.25;font-weight:650;letter-spacing:-.01em;
font-variant-numeric:tabular-nums}
.cards .name{font-size:.9rem}
.cards .on,.cards .change{font-size:.8rem;color:var(--muted)}
.cards .change{font-weight:600}
.good,.cards .good{color:var(--good)}
.bad,.cards .bad{color:var(--bad)}
.scroll{width:fit-content;min-width:min(100%,30rem);max-width:100%;overflow-x:auto;
margin:.5rem 0 1.25rem;background:var(--card);border:1px solid var(--line);
border-radius:.5rem}
.scroll:focus-visible,a:focus-visible,summary:focus-visible{outline:2px solid var(--accent);
outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.875rem;line-height:1.4;
overflow-wrap:break-word}
th,td{padding:.42rem .75rem;text-align:left;vertical-align:top;min-width:5rem;max-width:26rem}
thead th{color:var(--muted);font-weight:600;border-bottom:1px solid var(--line);
vertical-align:bottom}
tbody th{font-weight:500;min-width:9rem}
tbody td{min-width:8.5rem}
tbody tr+tr>*{border-top:1px solid var(--line)}
tbody .number,.number{text-align:right;min-width:3.5rem;white-space:nowrap;
font-variant-numeric:tabular-nums}
thead .number{white-space:normal}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem;
align-items:start}
figure{margin:0;padding:.9rem 1rem;break-inside:avoid}
figcaption{font-size:.9rem}
.plots figcaption{margin-bottom:.4rem}
figcaption strong{display:block;font-size:1rem}
figure .note{margin:.3rem 0 0;font-size:.8rem;color:var(--muted)}
.legend{display:flex;flex-wrap:wrap;gap:.05rem .9rem;margin:.15rem 0 0;padding:0;list-style:none;
font-size:.825rem;color:var(--muted)}
.legend li{display:flex;align-items:baseline;gap:.4rem;min-width:0}
.legend i{flex:none;width:.75rem;height:.75rem;border-radius:.15rem}
.legend .baseline{height:.2rem;align-self:center}
.legend .other{height:.2rem;align-self:center}
svg.plot{display:block;width:100%;height:auto;color:var(--muted);fill:currentColor;
font-family:inherit}
svg.plot *{stroke-linejoin:round;stroke-linecap:butt}
.picture{margin:1rem 0}
.picture img{display:block;width:100%;height:auto;border-radius:.25rem;margin-top:.5rem}
details{background:var(--card);border:1px solid var(--line);border-radius:.5rem;margin:.6rem 0;
padding:.55rem .95rem}
summary{cursor:pointer;font-weight:600}
dl{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1.4fr);gap:.2rem 1rem;
font-size:.875rem;margin:.7rem 0 .4rem}
dt{color:var(--muted)}
dd{margin:0}
footer{font-size:.85rem;padding-top:2.5rem;padding-bottom:2.5rem}
@media (max-width:30rem){header,main,footer{padding-left:.9rem;padding-right:.9rem}
h1{font-size:1.5rem}.cards{grid-template-columns:repeat(2,minmax(0,1fr));gap:.5rem}
.cards li{padding:.6rem .7rem}.cards .value{font-size:1.3rem}figure{padding:.75rem .7rem}}
@media print{:root{--page:#fff}body{font-size:9.5pt}header,main,footer{max-width:none;padding:0}
nav{display:none}h2,h3{break-after:avoid}tr,.cards li{break-inside:avoid}
.scroll{overflow:visible;border:0}.cards{grid-template-columns:repeat(4,1fr)}
.plots{grid-template-columns:1fr 1fr}th,td{padding:.2rem .4rem}
tbody td,tbody th{min-width:0}
p.mood,.legend i{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
""".strip()

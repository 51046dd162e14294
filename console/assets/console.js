import { Timeline, glyph, sparkline } from "./chart.js";

const STATES = { closed: "Closed", open: "Open", half_open: "Half-open", forced_open: "Forced open", forced_closed: "Forced closed" };
const WORST_FIRST = ["open", "half_open", "forced_open", "forced_closed", "closed"];
const CAUSES = {
  error_threshold: "too many errors in a row", error_rate: "error rate too high", slow_call_rate: "too many slow calls",
  tripped: "the dependency asked for a pause", probe_failed: "a probe failed", success_threshold: "probes succeeded",
  reset_timeout: "reset timeout over", manual: "by hand", reset: "reset",
};
const RULES = { error_threshold: "errors in a row", error_rate: "errors", slow_call_rate: "slow calls" };
const ACTIONS = {
  force_open: ["Force open", "Rejects every call until somebody releases it."],
  force_closed: ["Force closed", "Admits every call, whatever fails, until somebody releases it. The dependency is not protected meanwhile."],
  release: ["Release", "Ends the forced state. From forced open it becomes half-open, and probes decide; from forced closed it becomes closed."],
  reset: ["Reset", "Closes the breaker now and clears its counts."],
  reconfigure: ["Reconfigure", "Changes the settings from now on. State and counts stay."],
};

const $ = (id) => document.getElementById(id);
const api = (path, query = {}) => {
  const url = new URL(`api/${path}`, location.href.split("#")[0]);
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") url.searchParams.set(name, value);
  return url;
};

// Texts only: whatever a name contains, it is never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}
const write = (element, text) => element.textContent !== text && (element.textContent = text);
const put = (element, name, value) => element.getAttribute(name) !== value && element.setAttribute(name, value);
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const rate = (value) => (value ? (value < 10 ? value.toFixed(1) : compact.format(value)) : "0");
const percent = (value) => `${Math.round(value * 100)} %`;
const clock = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const short = (text, most = 160) => (text.length > most ? `${text.slice(0, most)}…` : text);
const status = (state, more = "") => make("span", { class: `st ${state} ${more}` }, glyph(state), STATES[state]);

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 ? ` ${s % 60} s` : ""}`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

// The time of the server, by which everything is told.
let ahead = 0;
const now = () => Date.now() + ahead;
const since = (row) => `${row.since_is_known ? "" : "at least "}${span(now() - row.since)}`;
const retry = (row) => (row.retry_at === undefined ? "" : row.retry_at > now() ? span(row.retry_at - now()) : "next call");
const failure = ({ last_error: error }) => error && `${error.type.replace(/[\w$]+::/g, "")}${error.message ? `: ${error.message}` : ""}`;

const link = (row) => (row.registry === undefined ? `#/breaker/${encodeURIComponent(row.name)}` : `#/registry/${encodeURIComponent(row.registry)}/${encodeURIComponent(row.name)}`);
const all = (registry) => `#/registry/${encodeURIComponent(registry)}`;

// Where we are: `#/`, `#/breaker/NAME`, `#/registry/REGISTRY`, `#/registry/REGISTRY/NAME`, each with a query.
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  let parts = [];
  try {
    parts = path.split("/").map(decodeURIComponent);
  } catch { /* a link that was cut off leads to the overview */ }
  const filter = new URLSearchParams(query);
  const [kind, first, second] = parts;
  return {
    registry: kind === "registry" ? first : undefined,
    name: kind === "breaker" ? first : kind === "registry" ? second : undefined,
    state: filter.get("state") ?? "",
    q: filter.get("q") ?? "",
  };
}
let here = place();
let access = { actor: null, actions: [] };

/* Live */

let source, heard = 0, lost = 0, waiting, instance, version, subscription;

function subscribe(query) {
  clearTimeout(waiting);
  source?.close();
  subscription = query;
  heard = Date.now();
  const mine = (source = new EventSource(api("stream", query)));
  for (const [name, act] of Object.entries({ overview: onOverview, breaker: onBreaker, gone: onGone })) {
    mine.addEventListener(name, (event) => {
      if (mine !== source) return;
      const message = JSON.parse(event.data);
      heard = Date.now();
      lost = 0;
      ahead = message.at - heard;
      if (message.instance) {
        if (version && version !== message.version) return location.reload();
        ({ instance, version, access } = message);
        who();
      }
      live(true);
      act(message);
    });
  }
  mine.onerror = () => {
    live(false);
    // A browser comes back by itself unless the server refused it.
    if (mine === source && mine.readyState === EventSource.CLOSED) again();
  };
}

async function again() {
  clearTimeout(waiting);
  const mine = source;
  const answer = await fetch(api("breakers", { limit: 1 })).catch(() => null);
  if (mine !== source) return;
  if (answer?.status === 403) banner("You may no longer see this console.");
  waiting = setTimeout(() => subscribe(subscription), Math.min(15000, 1000 * 2 ** lost++));
}

function live(is) {
  put($("live"), "class", is ? "live on" : "live");
  write($("live"), is ? "live" : "reconnecting");
  if (is) banner("");
  document.body.classList.toggle("stale", !is);
}
function banner(text) {
  write($("banner"), text);
  $("banner").hidden = !text;
}
function who() {
  write($("who"), access.actions.length ? access.actor : "read-only");
}

// A browser that slept, or a connection that died in silence.
setInterval(() => {
  if (!document.hidden && source && Date.now() - heard > 15000) {
    live(false);
    subscribe(subscription);
  }
}, 3000);
let hidden;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(() => (source?.close(), (source = null), live(false)), 60000);
  else if (!source || Date.now() - heard > 3000) subscribe(subscription);
});

/* Overview */

const rows = new Map();
const drawn = new Map();
let order = [], offset = 0, matched = 0, tick = 0, summary;
const OVER = 30;

const narrow = matchMedia("(max-width: 720px)");
const tall = () => (narrow.matches ? 112 : 62);

function visible() {
  const top = $("rows").getBoundingClientRect().top;
  const first = Math.max(0, Math.floor(-top / tall()));
  return [first, Math.min(matched, first + Math.ceil(innerHeight / tall()) + 2)];
}

function look() {
  const [first, last] = visible();
  const limit = Math.ceil(innerHeight / tall()) + 2 * OVER;
  subscribe({ q: here.q, state: here.state, registry: here.registry, offset: Math.max(0, Math.min(first, last) - OVER), limit });
}

function onOverview(message) {
  const passed = message.tick !== tick;
  tick = message.tick;
  summary = message;
  ({ matched, offset } = message);
  if (message.order) order = message.order;
  if (message.instance) rows.clear();
  for (const change of message.breakers) {
    if (change.name !== undefined) rows.set(change.id, Object.assign(change, { fresh: true }));
    else if (rows.has(change.id)) merge(rows.get(change.id), change);
  }
  const kept = new Set(order);
  for (const [id, row] of rows) {
    if (!kept.has(id)) rows.delete(id);
    else if (passed && row.sparkline && !row.fresh) continued(row);
    row.fresh = false;
  }
  overview();
}

function merge(row, change) {
  for (const [name, value] of Object.entries(change)) {
    if (value === null) delete row[name];
    else row[name] = value;
  }
}

function continued(row) {
  for (const [points, value] of [[row.sparkline.calls, row.calls_per_second], [row.sparkline.rejected, row.rejected_per_second]]) {
    points.push(value);
    points.shift();
  }
}

function overview() {
  const { states } = summary;
  const sum = Object.values(states).reduce((one, other) => one + other, 0);
  const nothing = sum === 0 && !summary.registries.length;
  chips(states, sum);
  registries(summary.registries);
  const bad = sum - states.closed;
  document.title = bad ? `(${bad}) Breakers` : "Breakers";
  const isFiltered = here.q || here.state;
  $("calm").hidden = bad > 0 || sum === 0 || Boolean(isFiltered);
  write($("calm"), `All is well: ${sum === 1 ? "the breaker is" : `all ${sum.toLocaleString("en")} breakers are`} closed.`);
  say(bad ? WORST_FIRST.filter((state) => state !== "closed" && states[state]).map((state) => `${states[state]} ${STATES[state].toLowerCase()}`).join(", ") : "All breakers are closed");
  scope();
  $("table").hidden = matched === 0;
  $("empty").hidden = matched > 0;
  if (!matched) empty(nothing, isFiltered);
  put($("table"), "aria-rowcount", String(matched + 1));
  paint();
}

function chips(states, sum) {
  const list = $("states");
  if (!list.children.length) {
    for (const state of ["", ...WORST_FIRST]) {
      const press = () => go({ ...here, state: here.state === state ? "" : state });
      list.append(make("button", { type: "button", class: state, "data-state": state, onclick: press }, state && glyph(state), make("span", {}, state ? STATES[state] : "All"), make("b")));
    }
  }
  for (const chip of list.children) {
    const state = chip.dataset.state;
    const count = state ? states[state] : sum;
    put(chip, "aria-pressed", String(here.state === state));
    chip.classList.toggle("none", count === 0);
    write(chip.lastChild, count.toLocaleString("en"));
  }
}

function registries(list) {
  const shown = here.q || here.state ? [] : list.filter(({ name }) => here.registry === undefined || here.registry === name);
  // While somebody is in there with the keyboard, nothing is pulled from under them.
  if ($("registries").contains(document.activeElement)) return;
  $("registries").replaceChildren(...shown.map((registry) => {
    const total = registry.breakers || 1;
    const parts = WORST_FIRST.filter((state) => registry.states[state]);
    const stack = parts.map((state) => {
      const part = make("i", { class: state });
      part.style.flexGrow = registry.states[state] / total;
      return part;
    });
    const drawn = [["Calls / s", "calls", registry.calls_per_second, ""], ["Rejected / s", "rejected", registry.rejected_per_second, "rej"]].map(([label, points, value, kind]) => {
      const spark = sparkline(kind);
      spark.draw(registry.sparkline[points]);
      return make("div", {}, make("span", { class: "soft" }, label), spark, make("b", {}, rate(value)));
    });
    return make("section", { class: "card", "aria-label": `Registry ${short(registry.name)}` },
      make("header", {}, make("a", { href: all(registry.name) }, short(registry.name)), make("span", { class: "soft" }, plural(registry.breakers, "breaker"))),
      registry.is_readable ? make("div", { class: "stack", "aria-hidden": "true" }, ...stack) : make("p", { class: "error" }, "It panicked while it was read. What is shown is old."),
      make("div", { class: "hidden" }, parts.map((state) => `${registry.states[state]} ${STATES[state].toLowerCase()}`).join(", ")),
      make("div", { class: "pair" }, ...drawn),
      registry.worst.length > 0 && make("ul", { class: "worst", "aria-label": "Worst" }, ...registry.worst.map(({ name, state }) =>
        make("li", {}, make("span", { class: `st ${state}`, title: STATES[state] }, glyph(state)), make("a", { href: link({ registry: registry.name, name }) }, short(name))))));
  }));
}

function scope() {
  const element = $("scope");
  element.hidden = here.registry === undefined;
  const key = JSON.stringify([here.registry, access.actions]);
  if (element.hidden || element.dataset.key === key) return;
  element.dataset.key = key;
  const configure = access.actions.includes("reconfigure") && make("button", { type: "button", onclick: () => ask("reconfigure", { registry: here.registry }) }, "Reconfigure all of them");
  element.replaceChildren(make("span", {}, "Registry ", make("b", {}, short(here.registry))), make("a", { href: "#/" }, "Show everything"), configure || "");
}

function empty(nothing, isFiltered) {
  const element = $("empty");
  const kind = nothing ? "nothing" : isFiltered ? "filter" : "registry";
  if (element.dataset.kind === kind) return;
  element.dataset.kind = kind;
  const texts = {
    nothing: [make("h2", {}, "No breakers yet"), make("p", {}, "Tell the console which breakers it shows, and they appear here:"), make("pre", {}, "Console::new()\n    .breaker(&PAYMENTS)   // a static, or an Arc\n    .registry(&HOSTS)     // one breaker for each key")],
    filter: [make("h2", {}, "No breaker matches"), make("p", {}, make("button", { type: "button", onclick: () => go({}) }, "Show all breakers"))],
    registry: [make("h2", {}, "No breaker yet"), make("p", {}, "A registry makes the breaker of a key at its first call. It appears here within a second.")],
  };
  element.replaceChildren(...texts[kind]);
}

// Only the rows that can be seen are in the page; a row that has the focus stays.
function paint() {
  if (!$("overview").hidden) {
    const height = tall();
    $("rows").style.height = `${matched * height}px`;
    const [first, last] = visible();
    const seen = new Set();
    for (let index = first; index < last; index++) {
      const id = order[index - offset];
      if (id === undefined || !rows.has(id)) continue;
      seen.add(id);
      if (!drawn.has(id)) {
        drawn.set(id, rowOf(rows.get(id)));
        $("rows").append(drawn.get(id).element);
      }
      drawn.get(id).update(rows.get(id), index, height);
    }
    for (const [id, { element }] of drawn) {
      if (!seen.has(id) && !(element.contains(document.activeElement) && rows.has(id))) {
        element.remove();
        drawn.delete(id);
      }
    }
  }
}

function meter() {
  const fill = make("i");
  const bar = make("div", { class: "meter", role: "meter", "aria-valuemin": "0", "aria-valuemax": "100" }, fill);
  return {
    bar,
    show({ pressure, is_judged, rule }) {
      put(bar, "class", `meter ${is_judged ? (pressure >= 0.8 ? "hot" : pressure >= 0.5 ? "warm" : "") : "few"}`);
      put(bar, "aria-valuenow", String(Math.round(pressure * 100)));
      put(bar, "aria-label", `${RULES[rule]}, of the threshold in percent`);
      fill.style.width = percent(pressure).replace(" ", "");
    },
  };
}
const amount = ({ rule, value, threshold, is_judged }) => rule === "error_threshold" ? `${value} of ${threshold} ${RULES[rule]}` : `${percent(value)} of ${percent(threshold)} ${RULES[rule]}${is_judged ? "" : ", few calls"}`;

function rowOf(row) {
  const state = make("div", { class: "state", role: "cell" });
  const name = make("a", { href: link(row), title: short(row.name, 400) }, short(row.name, 200));
  const sub = make("div", { class: "sub" });
  const { bar, show } = meter();
  const text = make("div", { class: "sub" });
  const [calls, rejected] = [sparkline(""), sparkline("rej")];
  const [callRate, rejectedRate] = [make("b"), make("b")];
  const left = make("div", { class: "retry right", role: "cell" });
  const element = make("div", { class: "row", role: "row" }, state, make("div", { class: "name", role: "cell" }, name, sub),
    make("div", { class: "near", role: "cell" }, bar, text), make("div", { class: "num calls", role: "cell" }, calls, callRate),
    make("div", { class: "num rejs", role: "cell" }, rejected, rejectedRate), left);
  let shown;
  const update = (row, index, height) => {
    element.style.transform = `translateY(${index * height}px)`;
    put(element, "aria-rowindex", String(index + 2));
    if (shown !== row.state) state.replaceChildren(status((shown = row.state)));
    const facts = [row.registry && short(row.registry, 40), row.state !== "closed" || row.cause ? since(row) : "", CAUSES[row.cause] ?? "", failure(row)];
    write(sub, short(facts.filter(Boolean).join(" · "), 240));
    const worst = row.rules?.reduce((one, other) => (other.pressure > one.pressure ? other : one));
    bar.hidden = !worst;
    if (worst) show(worst);
    write(text, worst ? amount(worst) : near(row));
    calls.draw(row.sparkline?.calls);
    rejected.draw(row.sparkline?.rejected);
    write(callRate, rate(row.calls_per_second));
    write(rejectedRate, rate(row.rejected_per_second));
    write(left, retry(row));
  };
  return { element, update };
}

function near(row) {
  if (row.state === "half_open") return `${plural(row.consecutive_successes, "probe")} succeeded`;
  if (row.state === "closed" && row.window?.calls) return `${percent(row.window.errors / row.window.calls)} errors`;
  if (row.state === "closed" && row.consecutive_errors) return `${plural(row.consecutive_errors, "error")} in a row`;
  return "";
}

let said = "";
function say(text) {
  if (text !== said && said) write($("say"), text);
  said = text;
}

let moving;
addEventListener("scroll", () => {
  if (here.name !== undefined) return;
  paint();
  const [first, last] = visible();
  if (first < offset || last > offset + order.length) {
    clearTimeout(moving);
    moving = setTimeout(look, 80);
  }
}, { passive: true });
addEventListener("resize", () => here.name === undefined && (paint(), clearTimeout(moving), (moving = setTimeout(look, 150))));

/* One breaker */

let detail, timeline, parts;

function onGone() {
  detail = undefined;
  document.title = "No such breaker";
  $("detail").replaceChildren(make("a", { class: "back", href: "#/" }, "← All breakers"), make("div", { class: "empty" }, make("h2", {}, "No breaker has this name now"),
    make("p", {}, here.registry === undefined ? "It may be one of another process." : "Its registry may have evicted it. It comes back with the next call of its key.")));
  parts = undefined;
}

function onBreaker(message) {
  const isWhole = message.settings !== undefined;
  if (isWhole) {
    detail = message;
    frame();
  } else if (detail) {
    const passed = message.tick !== detail.tick;
    merge(detail.breaker, message.breaker ?? {});
    if (passed && detail.breaker.sparkline) continued(detail.breaker);
    const { history } = detail;
    for (const bucket of message.buckets ?? []) {
      const at = history.buckets.findIndex(([from]) => from === bucket[0]);
      if (at >= 0) history.buckets[at] = bucket;
      else history.buckets.push(bucket);
    }
    while (history && history.buckets.length > 240) history.buckets.shift();
    for (const event of message.events ?? []) {
      const at = detail.events.findIndex((known) => event.sequence !== undefined && known.sequence === event.sequence);
      if (at >= 0) detail.events[at] = event;
      else detail.events.push(event);
    }
    Object.assign(detail, { at: message.at, tick: message.tick });
  }
  if (detail) show();
}

function frame() {
  const { breaker, settings } = detail;
  const readout = make("p", { class: "readout", role: "status" });
  timeline = new Timeline((text) => write(readout, text));
  parts = {
    state: make("div"), lead: make("p", { class: "lead" }), error: make("p", { class: "lead soft" }), acts: make("div", { class: "acts" }),
    tiles: make("div", { class: "grid" }), near: make("section", { class: "card" }), events: make("tbody"), none: make("p", { class: "soft" }),
  };
  const legend = [["c-ok", "succeeded"], ["c-bad", "failed"], ["c-meh", "ignored or dropped"], ["c-rej", "rejected"]].map(([kind, text]) => make("span", {}, make("i", { class: kind }), text));
  const rows = settings.map(({ name, value, default: usual }) => make("tr", { class: value !== undefined && value !== usual ? "differs" : "" }, make("td", {}, make("code", {}, name)), value !== undefined && make("td", {}, String(value)), make("td", { class: "soft" }, usual)));
  const known = settings.some(({ value }) => value !== undefined);
  $("detail").replaceChildren(
    make("a", { class: "back", href: breaker.registry === undefined ? "#/" : all(breaker.registry) }, breaker.registry === undefined ? "← All breakers" : `← ${short(breaker.registry, 60)}`),
    make("div", { class: "title" }, make("h1", {}, breaker.name), parts.state), parts.lead, parts.error, parts.acts, parts.tiles,
    make("section", { class: "card", "aria-label": "The last hour" }, make("h2", {}, "The last hour"),
      detail.history ? timeline.element : make("p", { class: "soft" }, "No history is kept of this breaker: there are more than fit into the console's memory, and it is closed and idle."),
      readout, make("div", { class: "legend" }, ...legend)),
    make("div", { class: "two" },
      make("section", { class: "card" }, make("h2", {}, "Events"), make("div", { class: "scroll", tabindex: "0", "aria-label": "Events" }, make("table", {}, parts.events)), parts.none),
      make("div", {}, parts.near, make("section", { class: "card" }, make("h2", {}, "Settings"), make("table", {},
        make("thead", {}, make("tr", {}, make("th", {}, "Setting"), known && make("th", {}, "In force"), make("th", {}, "Default"))), make("tbody", {}, ...rows))))));
}

function show() {
  const { breaker, access: may } = detail;
  document.title = `${STATES[breaker.state]}: ${short(breaker.name, 60)}`;
  if (parts.shown !== breaker.state) {
    parts.state.replaceChildren(status(breaker.state, "pill"));
    if (parts.shown) say(`${short(breaker.name, 60)} is ${STATES[breaker.state].toLowerCase()}`);
    parts.shown = breaker.state;
    acts(may.actions, breaker);
  }
  countdown();
  const error = breaker.last_error;
  write(parts.error, error ? `Last error: ${error.type}${error.message ? `: ${error.message}` : ""}${error.seen_at ? ` (seen at ${clock(error.seen_at)})` : ""}` : "");
  const { totals } = breaker;
  tiles({
    "calls / s": rate(breaker.calls_per_second), "rejected / s": rate(breaker.rejected_per_second), "in flight": compact.format(breaker.active_calls),
    succeeded: compact.format(totals.success), failed: compact.format(totals.error), rejected: compact.format(totals.rejected), slow: compact.format(totals.slow),
    "ignored or dropped": compact.format(totals.ignored + totals.dropped),
  });
  rules(breaker);
  events();
  if (detail.history) timeline.draw({ history: detail.history, events: detail.events, state: breaker.state, now: now(), states: STATES });
}

function countdown() {
  if (!detail || !parts) return;
  const { breaker } = detail;
  const cause = CAUSES[breaker.cause] ? `, because of: ${CAUSES[breaker.cause]}` : "";
  const left = retry(breaker);
  const next = left === "next call" ? " The next call is a probe." : left ? ` Probes again in ${left}.` : "";
  const twins = breaker.namesakes ? ` ${plural(breaker.namesakes, "more breaker")} of this name: the console cannot act on it.` : "";
  write(parts.lead, `${STATES[breaker.state]} for ${since(breaker)}${cause}.${next}${twins}`);
}
setInterval(() => {
  countdown();
  if (here.name === undefined) for (const [id, { element }] of drawn) rows.has(id) && write(element.lastChild, retry(rows.get(id)));
}, 500);

function acts(allowed, breaker) {
  const isForced = breaker.state.startsWith("forced");
  const offered = allowed.filter((action) => (action !== "release" || isForced) && breaker.state !== { force_open: "forced_open", force_closed: "forced_closed" }[action]);
  parts.acts.replaceChildren(...offered.map((action) => make("button", { type: "button", "data-action": action, class: action === "release" ? "go" : "", onclick: () => ask(action, breaker) }, `${ACTIONS[action][0]}…`)));
}

function tiles(values) {
  const entries = Object.entries(values);
  if (!parts.tiles.children.length) parts.tiles.append(...entries.map(([label]) => make("div", { class: "card tile" }, make("b"), make("span", {}, label))));
  entries.forEach(([, value], index) => write(parts.tiles.children[index].firstChild, value));
}

function rules(breaker) {
  const list = breaker.rules ?? [];
  parts.near.hidden = !list.length;
  if (!list.length) return;
  if (parts.rules !== list.length) {
    parts.rules = list.length;
    parts.meters = list.map(() => ({ ...meter(), text: make("span"), share: make("b") }));
    parts.near.replaceChildren(make("h2", {}, "How near it is to opening"), ...parts.meters.map(({ bar, text, share }) => make("div", { class: "rule" }, make("div", {}, text, share), bar)));
  }
  list.forEach((rule, index) => {
    const { show, text, share } = parts.meters[index];
    show(rule);
    write(text, amount(rule));
    write(share, percent(rule.pressure));
  });
}

function events() {
  const list = [...(detail.events ?? [])].sort((one, other) => other.at - one.at || other.number - one.number);
  parts.none.hidden = list.length > 0;
  write(parts.none, "Nothing has happened since the console began.");
  const key = list.map(({ number }) => number).join();
  if (parts.key === key) return;
  parts.key = key;
  parts.events.replaceChildren(...list.map((event) => make("tr", {}, make("td", { class: "when soft" }, clock(event.at)), make("td", {}, ...(event.kind === "act" ? acted(event) : changed(event))))));
}
const acted = ({ action, actor, reason }) => [make("b", {}, ACTIONS[action][0]), ` by ${actor}: ${reason}`];
function changed(event) {
  const counts = [];
  if (event.cause === undefined) counts.push(event.changes > 1 ? `${event.changes} changes between two looks` : "cause not observed");
  else counts.push(CAUSES[event.cause]);
  if (event.window) counts.push(`${event.window.errors} errors and ${event.window.slow_calls} slow in ${plural(event.window.calls, "call")}`);
  else if (event.consecutive_errors) counts.push(`${plural(event.consecutive_errors, "error")} in a row`);
  if (event.rejected) counts.push(`${event.rejected.toLocaleString("en")} rejected`);
  return [status(event.from), " → ", status(event.to), make("div", { class: "soft" }, counts.join(" · "))];
}

/* Act */

let settings;

async function ask(action, { registry, name }) {
  const [title, effect] = ACTIONS[action];
  const dialog = $("dialog");
  const error = make("p", { class: "error", role: "alert" });
  const reason = make("input", { id: "reason", required: true, maxlength: "240", autocomplete: "off", placeholder: "What the others should know" });
  const submit = make("button", { class: "go", type: "submit" }, title);
  const fields = new Map();
  let grid = "";
  if (action === "reconfigure") {
    settings = detail?.settings ?? settings ?? (await fetch(api("settings")).then((answer) => answer.json()));
    grid = make("div", { class: "fields" }, ...settings.map(({ name, form, default: usual, value }) => {
      const input = make("input", { id: `set-${name}`, placeholder: usual, title: `such as ${form}`, autocomplete: "off", spellcheck: "false", "aria-describedby": `err-${name}` });
      if (value !== undefined) input.value = value;
      const wrong = make("p", { class: "error", id: `err-${name}` });
      fields.set(name, { input, wrong });
      return make("div", {}, make("label", { for: `set-${name}` }, make("code", {}, name)), input, wrong);
    }));
  }
  const whom = name === undefined ? `all breakers of ${short(registry)}` : short(name, 300);
  const note = action === "reconfigure" ? make("p", { class: "soft" }, "A field that is empty gets its default.") : "";
  const form = make("form", { onsubmit: send }, make("h2", { id: "dialog-title" }, `${title}: ${whom}`), make("p", {}, effect), note, grid,
    make("label", { for: "reason" }, "Reason"), reason, error, make("div", { class: "end" }, make("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), submit));
  dialog.replaceChildren(form);
  dialog.showModal();
  (fields.values().next().value?.input ?? reason).focus();

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    write(error, "");
    for (const { input, wrong } of fields.values()) {
      input.removeAttribute("aria-invalid");
      write(wrong, "");
    }
    const values = action === "reconfigure" ? Object.fromEntries([...fields].map(([name, { input }]) => [name, input.value])) : undefined;
    const answer = await fetch(api("act"), {
      method: "POST",
      headers: { "content-type": "application/json", "x-tripcoil-console": "1" },
      body: JSON.stringify({ action, registry, name, reason: reason.value, settings: values }),
    }).catch(() => null);
    const said = await answer?.json().catch(() => ({}));
    submit.disabled = false;
    if (answer?.ok) {
      dialog.close();
      return toast(said.from ? `${short(name, 60)}: ${said.from === said.to ? `${title}, done` : `${STATES[said.from]} → ${STATES[said.to]}`}` : `${title}: done`);
    }
    const field = fields.get(said?.field);
    if (field) {
      field.input.setAttribute("aria-invalid", "true");
      write(field.wrong, said.error);
      return field.input.focus();
    }
    write(error, said?.error ?? "The server did not answer. Nothing is known to have changed.");
  }
}

let toasting;
function toast(text) {
  clearTimeout(toasting);
  write($("toast"), text);
  $("toast").hidden = false;
  toasting = setTimeout(() => ($("toast").hidden = true), 4000);
}

/* Ways */

function go({ registry, state = "", q = "" }) {
  const query = new URLSearchParams(Object.entries({ state, q }).filter(([, value]) => value));
  const path = registry === undefined ? "#/" : all(registry);
  location.hash = query.size ? `${path}?${query}` : path;
}

function arrive() {
  const from = here;
  here = place();
  const isDetail = here.name !== undefined;
  $("overview").hidden = isDetail;
  $("detail").hidden = !isDetail;
  if ($("search").value !== here.q) $("search").value = here.q;
  if (isDetail) {
    detail = parts = undefined;
    $("detail").replaceChildren(make("p", { class: "soft" }, "Loading…"));
    subscribe({ registry: here.registry, name: here.name });
    scrollTo(0, 0);
    if (from !== here && from.name !== here.name) $("main").focus({ preventScroll: true });
  } else {
    detail = parts = undefined;
    order = [];
    rows.clear();
    for (const { element } of drawn.values()) element.remove();
    drawn.clear();
    if (from.name !== undefined || from.registry !== here.registry) scrollTo(0, 0);
    look();
  }
}

addEventListener("hashchange", arrive);
let typing;
$("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go({ ...here, q: $("search").value.trim() }), 150);
});
$("skip").addEventListener("click", () => ($("rows").querySelector("a") ?? $("main")).focus());
addEventListener("keydown", (event) => {
  if ($("dialog").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const typed = event.target.matches("input, textarea");
  if (event.key === "/" && !typed && here.name === undefined) {
    event.preventDefault();
    $("search").focus();
  } else if (event.key === "Escape") {
    if (here.name !== undefined) go({ registry: here.registry });
    else if (typed && event.target.value) go({ ...here, q: "" });
  } else if (["ArrowDown", "ArrowUp"].includes(event.key) && event.target.closest(".rows, #search")) {
    const row = event.target.closest(".row");
    const index = row ? Number(row.getAttribute("aria-rowindex")) - 2 + (event.key === "ArrowDown" ? 1 : -1) : 0;
    const next = drawn.get(order[index - offset]);
    if (next || row) event.preventDefault();
    next?.element.querySelector("a").focus();
    next?.element.scrollIntoView({ block: "nearest" });
  }
});
arrive();

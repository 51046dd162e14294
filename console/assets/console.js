import { Timeline, clock as moment, glyph, sparkline } from "./chart.js";

const STATES = { closed: "Closed", open: "Open", half_open: "Half-open", forced_open: "Forced open", forced_closed: "Forced closed" };
const ORDER = ["open", "half_open", "forced_open", "forced_closed", "closed"];
const CAUSES = {
	error_threshold: "too many errors in a row", error_rate: "error rate too high", slow_call_rate: "too many slow calls",
	tripped: "the dependency asked for a pause", probe_failed: "a probe failed", success_threshold: "probes succeeded",
	reset_timeout: "reset timeout over", manual: "by hand", reset: "reset", drop_rate: "too many dropped calls",
	recovered: "all steps of the recovery passed", disabled: "switched off", enabled: "switched on", remote: "ordered from outside",
};
const RULES = { error_threshold: "errors in a row", error_rate: "errors", slow_call_rate: "slow calls", drop_rate: "drops" };
const ACTIONS = {
	force_open: ["Force open", "Rejects every call until somebody releases it, or its time is over."],
	force_closed: ["Force closed", "Admits every call, whatever fails, until somebody releases it, or its time is over."],
	release: ["Release", "Ends the forced state. With a recovery, a growing share of the calls passes; without one, all do."],
	reset: ["Reset", "Closes the breaker now and clears its counts."],
	reconfigure: ["Reconfigure", "Changes the settings from now on. State and counts stay."],
};

const STANDINGS = { local: "Its own rules decide", held: "Held open by the fleet", probing: "This process probes for the fleet", ordered: "An order for the fleet holds it", forced_here: "Forced in this process, which overrides the fleet" };

const $ = (id) => document.getElementById(id);
const api = (path, query = {}) => {
	const url = new URL(`api/${path}`, import.meta.url);
	for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== "") url.searchParams.set(name, value);
	return url;
};

// `h("p.soft", { id: "x" }, "text")`. Texts only: whatever a name contains, it is never markup.
function h(what, ...children) {
	const [tag, ...classes] = what.split(".");
	const element = document.createElement(tag);
	element.className = classes.join(" ");
	const attributes = children[0]?.constructor === Object ? children.shift() : {};
	for (const [name, value] of Object.entries(attributes)) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (value !== undefined) element.setAttribute(name, value);
	}
	element.append(...children.filter(Boolean));
	return element;
}
const button = (text, onclick, more) => h("button", { type: "button", onclick, ...more }, text);
const write = (element, text) => element.textContent !== text && (element.textContent = text);
const put = (element, values) => Object.entries(values).forEach(([name, value]) => element.getAttribute(name) !== String(value) && element.setAttribute(name, value));
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const rate = (value) => (value < 100 ? String(value) : compact.format(Math.round(value)));
const percent = (value) => `${Math.round(value * 100)} %`;
const clock = (at) => moment(at, true);
const short = (text, most = 160) => (text.length > most ? `${text.slice(0, most)}…` : text);
const status = (state, more = "") => h(`span.st.${state}${more}`, glyph(state), STATES[state]);

function span(ms) {
	const s = Math.max(0, Math.round(ms / 1000));
	if (s < 60) return `${s} s`;
	if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 ? ` ${s % 60} s` : ""}`;
	if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

let ahead = 0;
const now = () => Date.now() + ahead;
const since = (row) => `${row.since_is_known ? "" : "at least "}${span(now() - row.since)}`;
const retry = (row) => (row.retry_at === undefined ? "" : row.retry_at > now() ? span(row.retry_at - now()) : "now");
const left = (ends) => (ends === undefined ? "until released" : `for ${span(ends - now())} more`);
const given = (order) => `${order.by}: ${order.because || "no reason given"}, ${left(order.ends_at)}`;
const fleeting = ({ fleet, hold_ends_at: ends }) => {
	if (ends !== undefined) return left(ends);
	if (!fleet) return "";
	if (fleet.standing === "ordered" && fleet.order) return `fleet: ${given(fleet.order)}`;
	if (fleet.standing === "local") return fleet.votes ? `fleet: ${fleet.votes} of ${fleet.votes_needed} votes` : "";
	return fleet.prober ? `fleet: ${fleet.prober} probes` : STANDINGS[fleet.standing].toLowerCase();
};
const told = ({ type, message }) => (message ? (type === "failure" ? message : `${type}: ${message}`) : type);
const failure = ({ state, last_error: error }) => error && `${state === "closed" && error.seen_at ? `last error ${span(now() - error.seen_at)} ago: ` : ""}${told(error).replace(/[\w$]+::/g, "")}`;

const encode = encodeURIComponent;
const link = (row) => (row.registry === undefined ? `#/breaker/${encode(row.name)}` : `#/registry/${encode(row.registry)}/${encode(row.name)}`);
const all = (registry) => `#/registry/${encode(registry)}`;

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

// Live

let source, heard = 0, failures = 0, waiting, version, instance, wanted;

function subscribe(query) {
	clearTimeout(waiting);
	source?.close();
	wanted = query;
	heard = Date.now();
	const mine = (source = new EventSource(api("stream", query)));
	for (const [name, act] of Object.entries({ overview: onOverview, breaker: onBreaker, gone: onGone })) {
		mine.addEventListener(name, (event) => {
			if (mine !== source) return;
			const message = JSON.parse(event.data);
			heard = Date.now();
			failures = 0;
			ahead = message.at - heard;
			if (message.instance) {
				if (version && version !== message.version) return location.reload();
				// Another program gives the same numbers to other breakers.
				if (instance !== message.instance) forget();
				({ version, access, instance } = message);
				write($("who"), access.actions.length ? access.actor : "read-only");
			}
			live(true);
			act(message);
		});
	}
	mine.onerror = () => {
		live(false);
		if (mine === source && mine.readyState === EventSource.CLOSED) again();
	};
}

async function again() {
	clearTimeout(waiting);
	const mine = source;
	const answer = await fetch(api("breakers", { limit: 1 })).catch(() => null);
	if (mine !== source) return;
	if (answer?.status === 403) banner("You may no longer see this console.");
	waiting = setTimeout(() => subscribe(wanted), Math.min(15000, 1000 * 2 ** failures++));
}

function live(is) {
	$("live").classList.toggle("on", is);
	write($("live"), is ? "live" : "reconnecting");
	if (is) banner("");
}
function banner(text) {
	write($("banner"), text);
	$("banner").hidden = !text;
}

// A browser that slept, or a connection that died in silence.
setInterval(() => {
	if (!document.hidden && source && Date.now() - heard > 15000) {
		live(false);
		subscribe(wanted);
	}
}, 3000);
let hidden;
document.addEventListener("visibilitychange", () => {
	clearTimeout(hidden);
	if (document.hidden) hidden = setTimeout(() => (source = source?.close()), 60000);
	else if (!source || Date.now() - heard > 3000) subscribe(wanted);
});

// Overview

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

function forget() {
	order = [];
	rows.clear();
	$("rows").replaceChildren();
	drawn.clear();
}

function merge(row, change) {
	for (const [name, value] of Object.entries(change)) {
		if (value === null) delete row[name];
		else row[name] = value;
	}
}

function renew(list, value, isSame) {
	const at = list.findIndex(isSame);
	list[at < 0 ? list.length : at] = value;
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
	say(bad ? ORDER.filter((state) => state !== "closed" && states[state]).map((state) => `${states[state]} ${STATES[state].toLowerCase()}`).join(", ") : "All breakers are closed");
	scope();
	$("table").hidden = matched === 0;
	$("empty").hidden = matched > 0;
	if (!matched) empty(nothing, isFiltered);
	put($("table"), { "aria-rowcount": matched + 1 });
	paint();
}

function chips(states, sum) {
	const list = $("states");
	if (!list.children.length) {
		for (const state of ["", ...ORDER]) {
			const chip = button(state && glyph(state), () => go({ ...here, state: here.state === state ? "" : state }), { class: state, "data-state": state });
			chip.append(h("span", state ? STATES[state] : "All"), h("b"));
			list.append(chip);
		}
	}
	for (const chip of list.children) {
		const state = chip.dataset.state;
		const count = state ? states[state] : sum;
		put(chip, { "aria-pressed": here.state === state });
		chip.classList.toggle("none", count === 0);
		write(chip.lastChild, count.toLocaleString("en"));
	}
}

function registries(list) {
	const shown = here.q || here.state ? [] : list.filter(({ name }) => here.registry === undefined || here.registry === name);
	if ($("registries").contains(document.activeElement)) return;
	const fleets = here.q || here.state || here.registry !== undefined ? [] : summary.fleets ?? [];
	$("registries").replaceChildren(...fleets.map(fleetCard), ...shown.map((registry) => {
		const parts = ORDER.filter((state) => registry.states[state]);
		const stack = parts.map((state) => {
			const part = h(`i.${state}`);
			part.style.flexGrow = registry.states[state];
			return part;
		});
		const drawn = [["Calls", "calls", ""], ["Rejected", "rejected", "rej"]].map(([label, name, kind]) => {
			const spark = sparkline(kind);
			spark.draw(registry.sparkline[name]);
			return h("div", h("span.soft", `${label} / s`), spark, h("b", rate(registry[`${name}_per_second`])));
		});
		return h("section.card", { "aria-label": short(registry.name) },
			h("header", h("a", { href: all(registry.name) }, short(registry.name)), h("span.soft", plural(registry.breakers, "breaker"))),
			registry.is_readable ? h("div.stack", { "aria-hidden": "true" }, ...stack) : h("p.error", "It panicked while it was read: this is old."),
			h("div.hidden", parts.map((state) => `${registry.states[state]} ${STATES[state].toLowerCase()}`).join(", ")),
			h("div.pair", ...drawn),
			registry.worst.length > 0 && h("ul.worst", { "aria-label": "Worst" }, ...registry.worst.map(({ name, state }) =>
				h("li", h(`span.st.${state}`, { title: STATES[state] }, glyph(state)), h("a", { href: link({ registry: registry.name, name }) }, short(name))))));
	}));
}

const lost = ({ is_connected: is, since }) => (is ? "" : `store lost for ${span(now() - since)}`);
function fleetCard(fleet) {
	const { name, members, held, probing, store_error: error, order_count: count, orders } = fleet;
	const gone = lost(fleet);
	return h("section.card.fleet", { "aria-label": `Fleet ${short(name)}` },
		h("header", h("b", `Fleet ${short(name)}`), h(`span.${gone ? "open" : "closed"}`, gone || "connected")),
		h("p", `${plural(members, "member")} · ${held} held open · ${probing} probed here · ${plural(count, "order")}`),
		gone && h("p.error", `Each process decides by itself. ${short(error ?? "", 300)}`),
		count > 0 && h("ul.worst", { "aria-label": "Orders" }, ...orders.slice(0, 4).map((order) => h("li",
			h(`span.st.${order.action.replace("force_", "forced_")}`, glyph(order.action.replace("force_", "forced_"))),
			h("a", { href: link(order) }, short(order.name, 60)), h("span.soft", short(given(order), 120))))));
}

function scope() {
	const element = $("scope");
	element.hidden = here.registry === undefined;
	const key = JSON.stringify([here.registry, access.actions]);
	if (element.hidden || element.dataset.key === key) return;
	element.dataset.key = key;
	const configure = access.actions.includes("reconfigure") && button("Reconfigure all of them", () => ask("reconfigure", { registry: here.registry }));
	element.replaceChildren(h("span", "Registry ", h("b", short(here.registry)), " "), h("a", { href: "#/" }, "Show everything"), configure || "");
}

function empty(nothing, isFiltered) {
	const element = $("empty");
	if (element.contains(document.activeElement)) return;
	let shown = ["No breaker yet", h("p", "A registry makes the breaker of a key at its first call.")];
	if (isFiltered) shown = ["No breaker matches", button("Show all breakers", () => go({}))];
	if (nothing) shown = ["No breakers yet", h("p", "Tell the console which breakers to show:"), h("pre", "Console::new()\n    .breaker(&PAYMENTS)   // a static, or an Arc\n    .registry(&HOSTS)     // one breaker for each key")];
	element.replaceChildren(h("h2", shown[0]), shown[1], shown[2] ?? "");
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
	const fill = h("i");
	const bar = h("div.meter", { role: "meter" }, fill);
	return {
		bar,
		show({ pressure, is_judged, rule }) {
			const warmth = pressure >= 0.8 ? "hot" : pressure >= 0.5 ? "warm" : "";
			put(bar, { class: `meter ${is_judged ? warmth : "few"}`, "aria-valuenow": Math.round(pressure * 100), "aria-label": `${RULES[rule]}, % of the threshold` });
			fill.style.width = percent(pressure).replace(" ", "");
		},
	};
}
const amount = ({ rule, value, threshold, is_judged }) => rule === "error_threshold" ? `${value} of ${threshold} ${RULES[rule]}` : `${percent(value)} of ${percent(threshold)} ${RULES[rule]}${is_judged ? "" : ", few calls"}`;

function rowOf(row) {
	const state = h("div.state");
	const name = h("a", { href: link(row), title: short(row.name, 400) }, short(row.name, 200));
	const sub = h("div.sub");
	const { bar, show } = meter();
	const text = h("div.sub");
	const [calls, rejected] = [sparkline(""), sparkline("rej")];
	const [callRate, rejectedRate] = [h("b"), h("b")];
	const left = h("div.retry.right");
	const element = h("div.row", { role: "row" }, state, h("div.name", name, sub),
		h("div.near", bar, text), h("div.num.calls", calls, callRate), h("div.num.rejs", rejected, rejectedRate), left);
	for (const cell of element.children) cell.role = "cell";
	let shown;
	const update = (row, index, height) => {
		element.style.transform = `translateY(${index * height}px)`;
		put(element, { "aria-rowindex": index + 2 });
		if (shown !== row.state) state.replaceChildren(status((shown = row.state)));
		const facts = [row.registry && short(row.registry, 40), row.state !== "closed" || row.cause ? since(row) : "", fleeting(row) || CAUSES[row.cause], failure(row)];
		write(sub, short(facts.filter(Boolean).join(" · "), 240));
		const worst = row.rules?.reduce((one, other) => (other.pressure > one.pressure ? other : one));
		bar.hidden = !worst;
		if (worst) show(worst);
		write(text, worst ? amount(worst) : row.state === "half_open" ? `${plural(row.consecutive_successes, "probe")} succeeded` : "");
		calls.draw(row.sparkline?.calls);
		rejected.draw(row.sparkline?.rejected);
		write(callRate, rate(row.calls_per_second));
		write(rejectedRate, rate(row.rejected_per_second));
		write(left, retry(row));
	};
	return { element, update };
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

// One breaker

let detail, timeline, parts;

function onGone() {
	detail = undefined;
	$("detail").replaceChildren(h("a.back", { href: "#/" }, "← All breakers"), h("div.empty", h("h2", "No breaker has this name now"), here.registry !== undefined && h("p", "Its registry may have evicted it. It comes back with the next call of its key.")));
	parts = undefined;
}

function onBreaker(message) {
	if (message.settings) {
		detail = message;
		frame();
	} else if (detail) {
		const passed = message.tick !== detail.tick;
		merge(detail.breaker, message.breaker ?? {});
		if (passed && detail.breaker.sparkline) continued(detail.breaker);
		const buckets = detail.history?.buckets;
		for (const bucket of message.buckets ?? []) renew(buckets, bucket, ([from]) => from === bucket[0]);
		while (buckets?.length > 240) buckets.shift();
		for (const event of message.events ?? []) renew(detail.events, event, ({ sequence }) => sequence && sequence === event.sequence);
		detail.tick = message.tick;
	}
	if (detail) show();
}

function frame() {
	const { breaker, settings } = detail;
	const readout = h("p.readout", { role: "status" });
	timeline = new Timeline((text) => write(readout, text));
	parts = {
		state: h("div"), lead: h("p.lead"), error: h("p.lead.soft"), acts: h("div.acts"),
		tiles: h("div.grid"), near: h("section.card"), shadow: h("p.card"), fleet: h("section.card.fleet"), events: h("tbody"), none: h("p.soft"),
	};
	const legend = Object.entries({ ok: "succeeded", bad: "failed", meh: "ignored or dropped", rej: "rejected" }).map(([kind, text]) => h("span", h(`i.c-${kind}`), text));
	const rows = settings.map(({ name, value, default: usual }) => h("tr", { class: value !== undefined && value !== usual.split(/[,;]/)[0] ? "differs" : "" }, h("td", h("code", name)), h("td", value ?? "–"), h("td.soft", usual)));
	$("detail").replaceChildren(
		h("a.back", { href: breaker.registry === undefined ? "#/" : all(breaker.registry) }, breaker.registry === undefined ? "← All breakers" : `← ${short(breaker.registry, 60)}`),
		h("div.title", h("h1", breaker.name), parts.state), parts.lead, parts.error, parts.acts, parts.tiles,
		h("section.card", { "aria-label": "The last hour" }, h("h2", "The last hour"),
			detail.history ? timeline.element : h("p.soft", "No history is kept: there are too many breakers, and this one is closed and idle."),
			readout, h("div.legend", ...legend)),
		h("div.two",
			h("section.card", h("h2", "Events"), h("div.scroll", { tabindex: "0", "aria-label": "Events" }, h("table", parts.events)), parts.none),
			h("div", parts.fleet, parts.shadow, parts.near, h("section.card", h("h2", "Settings"), h("table",
				h("thead", h("tr", h("th", "Setting"), h("th", "In force"), h("th", "Default"))), h("tbody", ...rows))))));
}

function show() {
	const { breaker, access: may } = detail;
	document.title = `${STATES[breaker.state]}: ${short(breaker.name, 60)}`;
	if (parts.shown !== breaker.state) {
		parts.state.replaceChildren(status(breaker.state, ".pill"));
		if (parts.shown) say(`${short(breaker.name, 60)} is ${STATES[breaker.state].toLowerCase()}`);
		parts.shown = breaker.state;
		acts(may.actions, breaker);
	}
	countdown();
	const error = breaker.last_error;
	write(parts.error, error ? `Last error: ${told(error)}${error.seen_at ? ` (seen at ${clock(error.seen_at)})` : ""}` : "");
	const { totals } = breaker;
	tiles({
		"calls / s": rate(breaker.calls_per_second), "rejected / s": rate(breaker.rejected_per_second), "in flight": rate(breaker.active_calls),
		succeeded: rate(totals.success), failed: rate(totals.error), rejected: rate(totals.rejected), slow: rate(totals.slow), "ignored, dropped": rate(totals.ignored + totals.dropped),
	});
	rules(breaker);
	inFleet(breaker);
	events();
	const { shadow } = breaker;
	parts.shadow.hidden = !shadow;
	if (shadow) write(parts.shadow, `The shadow would be ${STATES[shadow.state].toLowerCase()}. It has seen ${percent(shadow.coverage)} of the calls, and would have rejected ${plural(shadow.rejected, "call")}: ${shadow.rejections.error} failed, ${shadow.rejections.success} succeeded.`);
	if (detail.history) timeline.draw({ history: detail.history, events: detail.events, state: breaker.state, now: now(), states: STATES });
}

function countdown() {
	if (!detail || !parts) return;
	const { breaker } = detail;
	const act = breaker.cause === "manual" && detail.events?.findLast(({ kind }) => kind === "act");
	const isFleets = breaker.cause === "remote" && breaker.fleet;
	const cause = isFleets ? `, because of: the fleet ${short(breaker.fleet.name, 60)}` : CAUSES[breaker.cause] ? `, because of: ${act ? `${act.actor}, ${act.reason}` : CAUSES[breaker.cause]}` : "";
	const wait = retry(breaker);
	const next = wait === "now" ? " The next call is a probe." : wait ? ` Probes again in ${wait}.` : "";
	const twins = breaker.namesakes ? ` ${plural(breaker.namesakes, "more breaker")} of this name: none can be acted on.` : "";
	const ends = breaker.hold_ends_at === undefined ? "" : ` Held ${left(breaker.hold_ends_at)}.`;
	write(parts.lead, `${STATES[breaker.state]} for ${since(breaker)}${cause}.${next}${ends}${twins}`);
}
setInterval(() => {
	countdown();
	if (here.name === undefined) for (const [id, { element }] of drawn) rows.has(id) && write(element.lastChild, retry(rows.get(id)));
}, 500);

function acts(allowed, breaker) {
	const isForced = breaker.state.startsWith("forced");
	const offered = allowed.filter((action) => (action !== "release" || isForced) && breaker.state !== action.replace("force_", "forced_"));
	parts.acts.replaceChildren(...offered.map((action) => button(`${ACTIONS[action][0]}…`, () => ask(action, breaker), { "data-action": action })));
}

const tiles = (values) => parts.tiles.replaceChildren(...Object.entries(values).map(([label, value]) => h("div.card.tile", h("b", value), h("span", label))));

function rules({ rules: list = [] }) {
	parts.near.hidden = !list.length;
	parts.near.replaceChildren(h("h2", "How near it is to opening"), ...list.map((rule) => {
		const { bar, show } = meter();
		show(rule);
		return h("div.rule", h("div", h("span", amount(rule)), h("b", percent(rule.pressure))), bar);
	}));
}

function inFleet({ fleet }) {
	parts.fleet.hidden = !fleet;
	if (!fleet) return;
	const { name, standing, votes, votes_needed: needed, prober, generation, order, fleets_hold_ms: fleets, own_hold_ms: own } = fleet;
	const state = detail.fleets?.find((one) => one.name === name);
	const gone = state && lost(state);
	parts.fleet.replaceChildren(...[h("h2", `Fleet ${short(name)}`), h("p", h("b", STANDINGS[standing]), order && `. ${given(order)}`),
		prober !== undefined && h("p", `${prober} probes for all.`),
		h("p.soft", `${plural(votes, "vote")}, ${needed} open it${generation ? `; re-opened ${generation} times` : ""}${state ? `; ${plural(state.members, "member")}` : ""}`),
		own && h("p.soft", `It first opens for ${span(fleets)}; this process alone for ${span(own)}.`),
		gone && h("p.error", `The ${gone}: this process decides by itself.`)].filter(Boolean));
}

function events() {
	const list = [...(detail.events ?? [])].sort((one, other) => other.at - one.at || other.number - one.number);
	parts.none.hidden = list.length > 0;
	write(parts.none, "Nothing has happened yet.");
	const key = list.map(({ number }) => number).join();
	if (parts.key === key) return;
	parts.key = key;
	parts.events.replaceChildren(...list.map((event) => h("tr", h("td.when.soft", clock(event.at)), h("td", ...(event.kind === "act" ? acted(event) : event.kind === "fleet" ? [event.text] : changed(event))))));
}
const acted = ({ action, actor, reason, scope, for_ms: ms }) => [h("b", ACTIONS[action][0]), ` by ${actor}${scope === "fleet" ? ", for the fleet" : ""}${ms ? `, for ${span(ms)}` : ""}: ${reason}`];
function changed(event) {
	const counts = [];
	if (event.cause === undefined) counts.push(event.changes > 1 ? `${event.changes} changes between two looks` : "cause not observed");
	else counts.push(CAUSES[event.cause]);
	if (event.window) counts.push(`${event.window.errors} errors and ${event.window.slow_calls} slow in ${plural(event.window.calls, "call")}`);
	else if (event.consecutive_errors && event.from === "closed") counts.push(`${plural(event.consecutive_errors, "error")} in a row`);
	if (event.rejected) counts.push(`${event.rejected.toLocaleString("en")} rejected`);
	return [status(event.from), " → ", status(event.to), h("div.soft", counts.join(" · "))];
}

// Act

async function ask(action, { registry, name, fleet }) {
	const [title, effect] = ACTIONS[action];
	const dialog = $("dialog");
	const error = h("p.error", { role: "alert" });
	const reason = h("input", { id: "reason", required: true, maxlength: "240", autocomplete: "off", placeholder: "For the others to know" });
	const submit = h("button.go", { type: "submit" }, title);
	const fields = new Map();
	let grid = "";
	if (action === "reconfigure") {
		const settings = detail?.settings ?? (await fetch(api("settings", { registry })).then((answer) => answer.json()));
		grid = h("div.fields", ...settings.map(({ name, form, default: usual, value }) => {
			const input = h("input", { id: `set-${name}`, placeholder: usual, title: form, "aria-describedby": `err-${name}` });
			if (value !== undefined) input.value = value;
			const wrong = h("p.error", { id: `err-${name}` });
			fields.set(name, { input, wrong });
			return h("div", h("label", { for: `set-${name}` }, h("code", name)), input, wrong);
		}));
	}
	let lasts = "", where = "";
	if (action.startsWith("force_")) {
		const input = h("input", { id: "for", placeholder: "30m, 1h 30m; empty: until released", autocomplete: "off", "aria-describedby": "err-for" });
		const wrong = h("p.error", { id: "err-for" });
		fields.set("for", { input, wrong });
		lasts = h("div", h("label", { for: "for" }, "For how long"), input, wrong);
	}
	if (fleet && action !== "reconfigure" && detail?.access.scopes.includes("fleet")) {
		const pick = (value, text, checked) => h("label", h("input", { type: "radio", name: "scope", value, ...(checked && { checked: "" }) }), text);
		const isOrders = action === "release" && fleet.standing === "ordered";
		where = h("fieldset.pick", h("legend", "Where"), pick("process", "This process", !isOrders), pick("fleet", `All of the fleet ${short(fleet.name, 60)}`, isOrders));
	}
	const whom = name === undefined ? `all breakers of ${short(registry)}` : short(name, 300);
	const note = action === "reconfigure" ? h("p.soft", "A field that is empty gets its default.") : "";
	const form = h("form", { onsubmit: send }, h("h2", { id: "dialog-title" }, `${title}: ${whom}`), h("p", effect), note, grid,
		where, h("label", { for: "reason" }, "Reason"), reason, lasts, error, h("div.end", button("Cancel", () => dialog.close()), submit));
	dialog.replaceChildren(form);
	dialog.showModal();
	(grid ? fields.values().next().value.input : reason).focus();

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
			body: JSON.stringify({ action, registry, name, reason: reason.value, settings: values, for: fields.get("for")?.input.value, scope: form.querySelector(":checked")?.value }),
		}).catch(() => null);
		const said = await answer?.json().catch(() => ({}));
		submit.disabled = false;
		if (answer?.ok) {
			dialog.close();
			return toast(`${title}: done`);
		}
		const field = fields.get(said?.field);
		if (field) {
			field.input.setAttribute("aria-invalid", "true");
			write(field.wrong, said.error);
			return field.input.focus();
		}
		write(error, said?.error ?? "The server did not answer.");
	}
}

let toasting;
function toast(text) {
	clearTimeout(toasting);
	write($("toast"), text);
	$("toast").hidden = false;
	toasting = setTimeout(() => ($("toast").hidden = true), 4000);
}

// Go

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
	detail = parts = undefined;
	if (isDetail) {
		$("detail").replaceChildren(h("p.soft", "Loading…"));
		subscribe({ registry: here.registry, name: here.name });
		scrollTo(0, 0);
		if (from.name !== here.name) $("main").focus({ preventScroll: true });
	} else {
		forget();
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

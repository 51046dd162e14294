// Drawings: the sparklines of a minute and the time line of an hour.

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}, ...children) {
	const element = document.createElementNS(SVG, tag);
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
	element.append(...children);
	return element;
}

export function glyph(state) {
	return svg("svg", { class: "glyph", "aria-hidden": "true" }, svg("use", { href: `#s-${state}` }));
}

export function sparkline(kind) {
	const path = svg("path");
	const element = svg("svg", { class: `spark ${kind}`, viewBox: "0 0 59 20", preserveAspectRatio: "none", "aria-hidden": "true" }, path);
	let drawn = "";
	element.draw = (points) => {
		const most = Math.max(1, ...(points ?? []));
		let shape = "";
		if (points?.some((point) => point > 0)) {
			shape = points.map((point, x) => `${x ? "L" : "M"}${x} ${(19.3 - (18.6 * point) / most).toFixed(1)}`).join("");
			if (kind === "rej") shape = `M0 19.3${shape.replace("M", "L")}L59 19.3Z`;
		} else if (points) {
			shape = "M0 19.3L59 19.3";
		}
		if (shape !== drawn) path.setAttribute("d", (drawn = shape));
	};
	return element;
}

const HOUR = 3_600_000;
const BAND = { top: 4, height: 16 };
const CALLS = { top: 30, height: 112 };
const REJECTED = { top: 160, height: 48 };

export const clock = (at, seconds) =>
	new Date(at).toLocaleTimeString([], { hourCycle: "h23", hour: "2-digit", minute: "2-digit", ...(seconds && { second: "2-digit" }) });

// The states of the hour: `[state, from, to]`.
export function bands({ history, events, state, now }) {
	const changes = events.filter((event) => event.kind === "transition").sort((one, other) => one.at - other.at);
	const start = now - HOUR;
	const found = [];
	let from = Math.max(start, history.since);
	let current = changes.length ? changes[0].from : state;
	for (const change of changes) {
		if (change.at > from) found.push([current, from, change.at]);
		from = Math.max(from, change.at);
		current = change.to;
	}
	found.push([changes.length ? current : state, from, now]);
	return found;
}

export class Timeline {
	constructor(tell) {
		this.tell = tell;
		this.cursor = svg("line", { class: "cursor", y1: BAND.top, y2: REJECTED.top + REJECTED.height, visibility: "hidden" });
		this.drawing = svg("g");
		this.element = svg("svg", { class: "chart", role: "img", tabindex: "0" }, this.drawing, this.cursor);
		this.element.addEventListener("pointermove", (event) => this.point(event.clientX - this.element.getBoundingClientRect().left));
		this.element.addEventListener("pointerleave", () => this.point(null));
		this.element.addEventListener("blur", () => this.point(null));
		this.element.addEventListener("keydown", ({ key }) => {
			const step = { ArrowLeft: -1, ArrowRight: 1 }[key] * (this.data.history.bucket_ms / this.span) * this.width;
			if (step) this.point(Math.min(this.width - 1, Math.max(0, (this.at ?? this.width) + step)));
		});
		new ResizeObserver(() => this.data && this.draw(this.data)).observe(this.element);
	}

	draw(data) {
		this.data = data;
		this.span = Math.min(HOUR, Math.max(HOUR / 6, data.now - data.history.since));
		this.width = Math.max(280, this.element.clientWidth || 800);
		const { now } = data;
		const x = (at) => ((at - now + this.span) / this.span) * this.width;
		const step = this.span > HOUR / 2 ? 600_000 : 120_000;
		const parts = [];
		for (let at = Math.ceil((now - this.span) / step) * step; at < now; at += step) {
			parts.push(svg("line", { class: "grid-line", x1: x(at), x2: x(at), y1: BAND.top, y2: REJECTED.top + REJECTED.height }));
			if (x(at) > 18 && x(at) < this.width - 18) {
				const label = svg("text", { x: x(at), y: REJECTED.top + REJECTED.height + 18, "text-anchor": "middle" }, clock(at));
				if (this.width > 500 || Math.round(at / step) % 2 === 0) parts.push(label);
			}
		}
		for (const { top, height } of [CALLS, REJECTED]) {
			parts.push(svg("line", { class: "grid-line", x1: 0, x2: this.width, y1: top + height, y2: top + height }));
		}
		this.bands = bands(data);
		for (const [state, from, to] of this.bands) {
			const [left, right] = [Math.max(0, x(from)), x(to)];
			const tall = state === "closed" ? 6 : BAND.height;
			const box = { class: `band ${state}`, x: left, width: Math.max(1.5, right - left), y: BAND.top + BAND.height - tall, height: tall };
			parts.push(svg("rect", box));
		}
		this.bars(parts, x);
		for (const event of data.events) {
			const at = x(event.at);
			if (at >= 0) parts.push(svg("line", { class: "mark", x1: at, x2: at, y1: BAND.top + BAND.height, y2: CALLS.top + CALLS.height }));
		}
		this.drawing.replaceChildren(...parts);
		this.element.setAttribute("aria-label", `The last ${Math.round(this.span / 60_000)} minutes. ${this.bands.length - 1} changes of state. Arrow keys read it.`);
	}

	bars(parts, x) {
		const { buckets, bucket_ms } = this.data.history;
		const calls = Math.max(1, ...buckets.map(([, ok, bad, meh]) => ok + bad + meh));
		const rejected = Math.max(1, ...buckets.map((bucket) => bucket[4]));
		const wide = Math.max(1, (bucket_ms / this.span) * this.width - 0.6);
		const shapes = { "c-ok": "", "c-meh": "", "c-bad": "", "c-rej": "" };
		const bar = (name, left, bottom, high) => {
			if (high > 0) shapes[name] += `M${left.toFixed(1)} ${bottom.toFixed(1)}v${(-high).toFixed(1)}h${wide.toFixed(1)}v${high.toFixed(1)}z`;
		};
		for (const [at, ok, bad, meh, turned] of buckets) {
			const left = x(at);
			if (left + wide < 0) continue;
			let bottom = CALLS.top + CALLS.height;
			for (const [name, count] of [["c-bad", bad], ["c-meh", meh], ["c-ok", ok]]) {
				const high = count && Math.max(1.5, (count / calls) * CALLS.height);
				bar(name, left, bottom, high);
				bottom -= high;
			}
			bar("c-rej", left, REJECTED.top + REJECTED.height, turned && Math.max(1.5, (turned / rejected) * REJECTED.height));
		}
		for (const [name, shape] of Object.entries(shapes)) if (shape) parts.push(svg("path", { class: name, d: shape }));
		const per = (most) => `${Math.round(most).toLocaleString("en")} in ${bucket_ms / 1000} s`;
		parts.push(svg("text", { x: 2, y: CALLS.top + 9 }, per(calls)), svg("text", { x: 2, y: REJECTED.top + 7 }, `${per(rejected)} rejected`));
	}

	point(at) {
		this.at = at;
		this.cursor.setAttribute("visibility", at === null ? "hidden" : "visible");
		if (at === null || !this.data) return this.tell("");
		this.cursor.setAttribute("x1", at);
		this.cursor.setAttribute("x2", at);
		const { history, now, states } = this.data;
		const time = now - this.span + (at / this.width) * this.span;
		const bucket = history.buckets.find(([from]) => from <= time && time < from + history.bucket_ms);
		const band = this.bands.find(([, from, to]) => from <= time && time <= to);
		if (!bucket && !band) return this.tell(`${clock(time, true)}: not recorded`);
		const [, ok, bad, meh, turned] = bucket ?? [0, 0, 0, 0, 0];
		const neutral = meh ? `, ${meh} ignored or dropped` : "";
		this.tell(`${clock(time, true)}: ${band ? states[band[0]].toLowerCase() : ""} · ${ok} succeeded, ${bad} failed${neutral}, ${turned} rejected`);
	}
}

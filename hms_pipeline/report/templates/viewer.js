(() => {
  const values = JSON.parse(document.getElementById("values").textContent);
  const montage = values.montage, classes = values.classes;
  const PX_MM = 96 / 25.4, PAPER = 186 * PX_MM;  // between the margins of A4
  const LIGHT = { ink: "#000", soft: "#444", line: "#ccc", left: "#23518f", right: "#9c2f3f", span: "#fbf0cf", accent: "#31577f", paper: "#fff", card: "#fff" };
  let printing = false;
  const colour = (name) => printing ? LIGHT[name] : getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const ofDay = values.start_of_day_s ?? null, zero = ofDay ?? 0;  // seconds from midnight to the start
  const clock = (s, short = false) => {
    const t = Math.round(s + zero), pad = (n) => String(n).padStart(2, "0");
    const h = Math.floor(t / 3600), m = Math.floor(t / 60) % 60;
    if (ofDay !== null) return `${h < 24 || short ? "" : `day ${Math.floor(h / 24) + 1} `}${pad(h % 24)}:${pad(m)}:${pad(t % 60)}`;
    return h ? `${h}:${pad(m)}:${pad(t % 60)}` : `${m}:${pad(t % 60)}`;
  };
  const sheet = (canvas, height) => {
    const width = printing ? PAPER : canvas.clientWidth || PAPER, scale = Math.max(window.devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineJoin = "round";
    const text = (words, x, y, how = {}) => {
      pen.font = `${how.bold ? "600 " : ""}${how.size || 11}px ${getComputedStyle(document.body).fontFamily}`;
      pen.textAlign = how.align || "left";
      pen.fillStyle = how.colour || colour("ink");
      pen.fillText(words, x, y);
    };
    const line = (x1, y1, x2, y2, stroke, width = 1, dash = []) => {
      pen.strokeStyle = stroke; pen.lineWidth = width; pen.setLineDash(dash);
      pen.beginPath(); pen.moveTo(x1, y1); pen.lineTo(x2, y2); pen.stroke();
      pen.setLineDash([]);
    };
    const box = (x, y, w, h, fill) => { pen.fillStyle = fill; pen.fillRect(x, y, w, h); };
    return { pen, width, text, line, box };
  };

  // ------------------------------------------------------------ EEG
  const unpack = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const all = new Int16Array(bytes.buffer), n = all.length / montage.names.length;
    return montage.names.map((_, k) => all.subarray(k * n, (k + 1) * n));
  };
  const figures = [...document.querySelectorAll("figure.eeg")].map((figure, k) => ({
    figure, canvas: figure.querySelector("canvas"), where: figure.querySelector(".where"),
    gain: figure.querySelector(".gain"), data: values.windows[k], traces: unpack(values.windows[k].traces),
    uv: values.windows[k].sensitivity, span: 10, first: (montage.window_s - montage.label_s) / 2,
  }));
  const change = (drop) => {  // what masking does, as a colour
    const strength = Math.min(Math.abs(drop) / 0.3, 1) * 0.85 + 0.1;
    return drop > 0 ? `rgba(192, 57, 43, ${strength})` : `rgba(41, 98, 180, ${strength})`;
  };
  const signed = (drop) => { const points = Math.round(-drop * 100); return points ? `${points > 0 ? "+" : "−"}${Math.abs(points)}` : "0"; };

  const drawEeg = (f) => {
    const why = f.data.why, space = montage.trace_mm * PX_MM, top = why ? 46 : 20, left = 54, right = why ? 34 : 6;
    const bottom = top + (montage.heights.at(-1) + 1.2) * space, height = bottom + 34;
    const { pen, width, text, line, box } = sheet(f.canvas, height);
    const x = (s) => left + ((s - f.first) / f.span) * (width - left - right);
    const edge = (s) => Math.min(Math.max(x(s), left), width - right);
    const middle = montage.window_s / 2, half = montage.label_s / 2;
    box(edge(middle - half), top - 6, edge(middle + half) - edge(middle - half), bottom - top + 6, colour("span"));
    const step = f.span > 20 ? 5 : 1, begins = zero + f.data.start_s, second = (width - left - right) / f.span;
    const every = step * Math.ceil((ofDay === null ? 42 : 54) / (second * step));
    for (let t = Math.ceil((begins + f.first) / step - 1e-6) * step; t <= begins + f.first + f.span + 1e-6; t += step) {
      const s = t - begins;
      line(x(s), top - 6, x(s), bottom, colour("line"), t % 5 ? 0.6 : 1.2);
      if (t % every === 0 && x(s) < width - right - 8) text(clock(f.data.start_s + s, true), x(s), bottom + 13, { align: "center", size: 10.5, colour: colour("soft") });
    }
    pen.save(); pen.beginPath(); pen.rect(left, top - 8, width - left - right, bottom - top + 8); pen.clip();
    const px = PX_MM / f.uv * montage.step_uv, limit = space * 0.97;
    const from = Math.max(Math.floor(f.first * montage.sfreq), 0), to = Math.min(Math.ceil((f.first + f.span) * montage.sfreq) + 1, f.traces[0].length);
    f.traces.forEach((trace, k) => {
      const side = montage.sides[k], y = top + (montage.heights[k] + 0.4) * space;
      pen.strokeStyle = colour(side === "midline" ? "ink" : side); pen.lineWidth = f.span > 20 ? 0.6 : 0.9;
      pen.beginPath();
      let down = false;
      for (let i = from; i < to; i += 1) {
        if (trace[i] === montage.missing) { down = false; continue; }
        // negative is up, as EEG is read
        const v = Math.min(Math.max(trace[i] * px, -limit), limit);
        pen[down ? "lineTo" : "moveTo"](x(i / montage.sfreq), y + v);
        down = true;
      }
      pen.stroke();
    });
    pen.restore();
    montage.names.forEach((name, k) => text(name, left - 6, top + (montage.heights[k] + 0.4) * space + 4, { align: "right", size: 11 }));
    if (why) drawWhy(f, { text, box, line }, { x, edge, top, left, right, width, space });
    // calibration: about one trace's space high, one second wide
    const uv = [10, 20, 50, 100, 200, 500, 1000].filter((u) => u * PX_MM / f.uv <= space * 1.1).at(-1) || 10;
    const high = uv * PX_MM / f.uv, base = bottom + 28;
    line(8, base, 8, base - high, colour("ink"), 1.6); line(8, base, 8 + second, base, colour("ink"), 1.6);
    text(`${uv} µV, 1 s`, 14 + second, base, { size: 10.5 });
    f.where.textContent = `${clock(f.data.start_s + f.first, true)} – ${clock(f.data.start_s + f.first + f.span, true)}`;
    f.gain.textContent = `${f.uv} µV/mm`;
    f.figure.dataset.drawn = "yes";
  };

  const drawWhy = (f, { text, box }, { edge, top, left, right, width, space }) => {
    const why = f.data.why;
    why.stretches.forEach((drop, k) => {
      const a = edge(k * why.stretch_s), b = edge((k + 1) * why.stretch_s);
      if (b - a < 2) return;
      box(a + 1, 14, b - a - 2, 16, change(drop));
      if (b - a > 24) text(signed(drop), (a + b) / 2, 26, { align: "center", size: 10.5, bold: true });
    });
    text("masked", left - 6, 26, { align: "right", size: 10, colour: colour("soft") });
    let k = 0;
    montage.groups.forEach(([name, n]) => {
      const y = top + montage.heights[k] * space, high = (montage.heights[k + n - 1] - montage.heights[k] + 0.8) * space;
      box(width - right + 4, y, right - 6, high, change(why.regions[name]));
      text(signed(why.regions[name]), width - right / 2 + 1, y + high / 2 + 4, { align: "center", size: 10.5, bold: true });
      k += n;
    });
  };

  const page = (f, by) => {
    const last = montage.window_s - f.span, next = f.first + by * f.span;
    if (next < -1e-6 || next > last + 1e-6) return false;
    f.first = next;
    drawEeg(f);
    return true;
  };
  const louder = (f, by) => {
    const all = montage.sensitivities, k = all.indexOf(f.uv) + by;
    if (all[k]) { f.uv = all[k]; drawEeg(f); }
  };
  const zoom = (f) => {
    const wide = f.span < montage.window_s;
    f.span = wide ? montage.window_s : 10;
    f.first = wide ? 0 : (montage.window_s - montage.label_s) / 2;
    f.figure.querySelector("[data-do=zoom]").textContent = wide ? "10 s" : "50 s";
    drawEeg(f);
  };
  figures.forEach((f) => f.figure.addEventListener("click", (event) => {
    const what = event.target.dataset.do;
    if (what === "back") page(f, -1);
    if (what === "on") page(f, 1);
    if (what === "up") louder(f, -1);
    if (what === "down") louder(f, 1);
    if (what === "zoom") zoom(f);
  }));
  const inView = () => {
    const focused = figures.find((f) => f.figure.contains(document.activeElement));
    const far = (f) => { const r = f.figure.getBoundingClientRect(); return Math.abs((r.top + r.bottom) / 2 - window.innerHeight / 2); };
    return focused || [...figures].sort((a, b) => far(a) - far(b))[0];
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !figures.length) return;
    const f = inView(), by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) {
      event.preventDefault();
      if (page(f, by)) return;
      const other = figures[figures.indexOf(f) + by];
      if (!other) return;
      other.first = by > 0 ? 0 : montage.window_s - other.span;
      drawEeg(other);
      other.figure.focus({ preventScroll: true });
      other.figure.closest(".window").scrollIntoView();
    }
    if (event.key === "+" || event.key === "=") louder(f, -1);
    if (event.key === "-") louder(f, 1);
  });

  // ------------------------------------------------------------ the whole recording
  const overview = document.getElementById("timeline"), line = values.timeline;
  const place = { left: 66, right: 8 };
  let cursor = null;
  const images = (line ? line.images : []).map((uri) => { const image = new Image(); image.src = uri; return image; });
  const segments = () => {
    const found = [[]];
    line.time.forEach((t, i) => {
      if (i && t - line.time[i - 1] > 1.5 * line.hop_s) found.push([]);
      found.at(-1).push(i);
    });
    return found;
  };
  const drawTimeline = () => {
    const spec = images.length ? 4 * 55 : 0, spread = line.disagreement ? 44 : 0, height = 22 + 156 + 18 + spread + spec + 20;
    const canvas = overview.querySelector("canvas"), { pen, width, text, line: stroke, box } = sheet(canvas, height);
    const { left, right } = place, end = line.duration_s, x = (t) => left + (Math.min(Math.max(t, 0), end) / end) * (width - left - right);
    const soft = colour("soft"), label = (words, y) => text(words, left - 6, y, { align: "right", size: 10.5, colour: soft });
    let y = 22;
    box(left, y, width - left - right, 150, colour("card"));
    segments().forEach((rows) => {
      const at = [line.time[rows[0]] - line.hop_s / 2, ...rows.map((i) => line.time[i]), line.time[rows.at(-1)] + line.hop_s / 2];
      const share = [rows[0], ...rows, rows.at(-1)].map((i) => line.probs[i]);
      const lower = at.map(() => 0);
      // "Other" lies at the bottom, so that what matters rises above it
      [classes.length - 1, ...classes.keys()].slice(0, classes.length).forEach((k) => {
        pen.fillStyle = classes[k].colour; pen.beginPath();
        at.forEach((t, i) => pen.lineTo(x(t), y + 150 * (1 - Math.min(lower[i] + share[i][k], 1))));
        for (let i = at.length - 1; i >= 0; i -= 1) pen.lineTo(x(at[i]), y + 150 * (1 - lower[i]));
        pen.fill();
        lower.forEach((v, i) => { lower[i] = v + share[i][k]; });
      });
      rows.forEach((i) => {
        const k = line.probs[i].indexOf(Math.max(...line.probs[i])), a = x(line.time[i] - line.hop_s / 2);
        box(a, y + 156, Math.max(x(line.time[i] + line.hop_s / 2) - a, 0.8), 10, classes[k].colour);
      });
    });
    label("100 %", y + 8); label("50 %", y + 79); label("0 %", y + 150); label("leading", y + 166);
    y += 174;
    if (line.disagreement) {
      const most = Math.max(0.1, ...line.disagreement);
      pen.strokeStyle = soft; pen.lineWidth = 1.2;
      segments().forEach((rows) => { pen.beginPath(); rows.forEach((i) => pen.lineTo(x(line.time[i]), y + 34 * (1 - line.disagreement[i] / most))); pen.stroke(); });
      stroke(left, y + 34, width - right, y + 34, colour("line"));
      label("members", y + 14); label("disagree", y + 26);
      y += 44;
    }
    images.forEach((image, k) => {
      const [a, b] = line.span_s.map(x);
      box(left, y, width - left - right, 52, colour("card"));
      pen.imageSmoothingEnabled = false;
      if (image.complete && image.naturalWidth) pen.drawImage(image, a, y, b - a, 52);
      text(["left", "right", "left", "right"][k], left - 6, y + 18, { align: "right", size: 10.5 });
      text(["temporal", "temporal", "parasag.", "parasag."][k], left - 6, y + 30, { align: "right", size: 10.5 });
      label("0.6–20 Hz", y + 43);
      y += 55;
    });
    line.pauses_s.forEach(([a, b]) => { pen.globalAlpha = 0.8; box(x(a), 22, Math.max(x(b) - x(a), 1), y - 22, colour("line")); pen.globalAlpha = 1; });
    line.notable_s.forEach((t, i) => {
      stroke(x(t), 20, x(t), y, colour("ink"), 0.8, [2, 3]);
      pen.fillStyle = colour("accent"); pen.beginPath(); pen.arc(x(t), 11, 8.5, 0, 7); pen.fill();
      text(i + 1, x(t), 14.5, { align: "center", size: 10.5, bold: true, colour: colour("paper") });
    });
    const steps = [1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600], step = steps.find((s) => (end / s) * (ofDay === null ? 58 : 66) <= width - left) || 21600;
    for (let t = Math.ceil(zero / step) * step - zero; t <= end + 1e-6; t += step) {
      stroke(x(t), y, x(t), y + 4, soft);
      text(clock(t, true), x(t), y + 15, { align: x(t) > width - 30 ? "right" : "center", size: 10.5, colour: soft });
    }
    if (cursor !== null) stroke(cursor, 20, cursor, y, colour("ink"));
    overview.dataset.drawn = "yes";
  };
  const timeAt = (event) => {
    const box = overview.querySelector("canvas").getBoundingClientRect();
    return ((event.clientX - box.left - place.left) / (box.width - place.left - place.right)) * line.duration_s;
  };
  const point = (event) => {
    const tip = overview.querySelector(".tooltip"), box = overview.getBoundingClientRect(), time = timeAt(event);
    const best = line.time.reduce((b, t, i) => (Math.abs(t - time) < Math.abs(line.time[b] - time) ? i : b), 0);
    const off = time < 0 || time > line.duration_s || Math.abs(line.time[best] - time) > line.hop_s;
    cursor = off ? null : event.clientX - box.left;
    drawTimeline();
    tip.style.display = off ? "none" : "block";
    if (off) return;
    const head = document.createElement("b");
    head.textContent = clock(line.time[best]);
    tip.replaceChildren(head, ...classes.map((c, k) => {
      const row = document.createElement("div"), dot = document.createElement("span");
      dot.className = "dot"; dot.style.setProperty("--c", c.colour);
      row.append(dot, `${c.label} ${Math.round(line.probs[best][k] * 100)} %`);
      return row;
    }));
    const at = event.clientX - box.left;
    tip.style.left = `${at > box.width - 150 ? at - tip.offsetWidth - 14 : at + 14}px`;
    tip.style.top = `${Math.min(event.clientY - box.top + 10, box.height - 60)}px`;
  };
  if (line) {
    overview.addEventListener("mousemove", point);
    overview.addEventListener("mouseleave", () => { cursor = null; overview.querySelector(".tooltip").style.display = "none"; drawTimeline(); });
    overview.addEventListener("click", (event) => {
      const time = timeAt(event), near = line.notable_s.reduce((b, t, i) => (Math.abs(t - time) < Math.abs(line.notable_s[b] - time) ? i : b), 0);
      if (Math.abs(line.notable_s[near] - time) < line.duration_s / 60) document.getElementById(`window-${near + 1}`).scrollIntoView();
    });
    images.forEach((image) => image.decode().then(drawTimeline, () => {}));
  }

  // ------------------------------------------------------------ tables sort by a click on a heading
  document.querySelectorAll("table.sorts th").forEach((head) => head.addEventListener("click", () => {
    const column = [...head.parentNode.children].indexOf(head), body = head.closest("table").tBodies[0];
    const key = (row) => { const cell = row.cells[column]; return cell.dataset.value ?? cell.textContent; };
    const by = head.dataset.by === "down" ? "up" : "down";
    head.dataset.by = by;
    const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    [...body.rows].sort((a, b) => (by === "up" ? 1 : -1) * compare(key(a), key(b))).forEach((row) => body.append(row));
  }));

  const drawAll = () => { figures.forEach(drawEeg); if (line) drawTimeline(); };
  window.addEventListener("beforeprint", () => { printing = true; drawAll(); });
  window.addEventListener("afterprint", () => { printing = false; drawAll(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  let waiting;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 100); });
  drawAll();
})();

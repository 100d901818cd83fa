(() => {
  const values = JSON.parse(document.getElementById("values").textContent);
  const figure = document.getElementById("timeline");
  const svg = figure.querySelector("svg");
  const cursor = svg.querySelector(".cursor");
  const tip = figure.querySelector(".tooltip");
  const clock = (s) => {
    const t = Math.round(s), pad = (n) => String(n).padStart(2, "0");
    const h = Math.floor(t / 3600), m = Math.floor(t / 60) % 60;
    return h ? `${h}:${pad(m)}:${pad(t % 60)}` : `${m}:${pad(t % 60)}`;
  };
  const hide = () => { tip.style.display = "none"; cursor.setAttribute("visibility", "hidden"); };
  svg.addEventListener("mouseleave", hide);
  svg.addEventListener("mousemove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * values.width;
    const time = ((x - values.left) / (values.width - values.left - values.right)) * values.duration_s;
    let best = 0;
    values.time.forEach((t, i) => { if (Math.abs(t - time) < Math.abs(values.time[best] - time)) best = i; });
    if (time < 0 || time > values.duration_s || Math.abs(values.time[best] - time) > values.reach_s) return hide();
    cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); cursor.setAttribute("visibility", "visible");
    tip.replaceChildren();
    const head = document.createElement("b");
    head.textContent = clock(values.time[best]);
    tip.append(head);
    values.classes.forEach((c, k) => {
      const row = document.createElement("div"), dot = document.createElement("span");
      dot.className = "dot"; dot.style.setProperty("--c", c.colour);
      row.append(dot, `${c.label} ${Math.round(values.probs[best][k] * 100)} %`);
      tip.append(row);
    });
    tip.style.display = "block";
    const at = event.clientX - box.left, flip = at > box.width - 150;
    tip.style.left = `${flip ? at - tip.offsetWidth - 14 : at + 14}px`;
    tip.style.top = `${Math.min(event.clientY - box.top + 10, box.height - 60)}px`;
  });
})();

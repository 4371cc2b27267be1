"use strict";
// Draws each network: edges once into a layer of their own, nodes anew for each moment.
(() => {
  const viridis = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];
  const colours = Array.from({ length: 256 }, (_, k) => {
    if (k === 255) return "#c4cad0";
    const place = (k / 254) * 5, low = Math.min(4, Math.floor(place)), part = place - low;
    const mixed = viridis[low].map((c, m) => Math.round(c + part * (viridis[low + 1][m] - c)));
    return `rgb(${mixed.join(",")})`;
  });
  for (const figure of document.querySelectorAll("figure.network")) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const canvas = figure.querySelector("canvas"), context = canvas.getContext("2d");
    const slider = figure.querySelector("input"), output = figure.querySelector("output");
    const button = figure.querySelector("button");
    const states = Uint8Array.from(atob(data.states), (c) => c.charCodeAt(0));
    const count = data.names.length, layer = document.createElement("canvas");
    let tall = 0;
    for (let k = 0; k < count; k++) tall = Math.max(tall, data.positions[2 * k + 1]);
    let scale = 1, radius = 4, timer = null;
    const margin = 14;
    const x = (k) => margin + data.positions[2 * k] * scale;
    const y = (k) => margin + data.positions[2 * k + 1] * scale;
    function size() {
      const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth;
      scale = Math.min(width - 2 * margin, (560 - 2 * margin) / Math.max(tall, 0.2));
      const height = tall * scale + 2 * margin;
      canvas.style.height = `${height}px`;
      for (const one of [canvas, layer]) { one.width = width * ratio; one.height = height * ratio; }
      radius = Math.max(2, Math.min(9, 0.28 * scale / Math.sqrt(count)));
      const lines = layer.getContext("2d");
      lines.setTransform(ratio, 0, 0, ratio, (width - scale - 2 * margin) * ratio / 2, 0);
      context.setTransform(ratio, 0, 0, ratio, (width - scale - 2 * margin) * ratio / 2, 0);
      lines.strokeStyle = `rgba(90, 100, 112, ${Math.max(0.08, Math.min(0.5, 300 / data.edges.length))})`;
      lines.beginPath();
      for (let e = 0; e < data.edges.length; e += 2) {
        lines.moveTo(x(data.edges[e]), y(data.edges[e]));
        lines.lineTo(x(data.edges[e + 1]), y(data.edges[e + 1]));
      }
      lines.stroke();
    }
    function draw() {
      const moment = Number(slider.value);
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.drawImage(layer, 0, 0);
      context.restore();
      for (let k = 0; k < count; k++) {
        context.fillStyle = colours[states[moment * count + k]];
        context.beginPath();
        context.arc(x(k), y(k), radius, 0, 2 * Math.PI);
        context.fill();
      }
      output.textContent = String(data.times[moment]);
    }
    function stop() { clearInterval(timer); timer = null; button.textContent = "Play"; }
    button.addEventListener("click", () => {
      if (timer) { stop(); return; }
      if (Number(slider.value) === data.times.length - 1) slider.value = 0;
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
        slider.value = data.times.length - 1; draw(); return;
      }
      button.textContent = "Pause";
      timer = setInterval(() => {
        if (Number(slider.value) >= data.times.length - 1) { stop(); return; }
        slider.value = Number(slider.value) + 1;
        draw();
      }, 80);
    });
    slider.addEventListener("input", draw);
    window.addEventListener("resize", () => { size(); draw(); });
    size();
    draw();
  }
})();

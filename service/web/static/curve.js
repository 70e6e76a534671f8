// Learning curves as SVG: the score over epochs. One curve marks its best epoch, several are told apart by colour and dash.
const SVG = "http://www.w3.org/2000/svg";
const BOX = { left: 46, right: 14, top: 28, bottom: 40, width: 640, height: 300 }; // width follows the page, so that text keeps its size
export const STYLES = 8; // .c0 to .c7 in the style sheet

const add = (parent, name, attributes, text) => {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
};

// A round end for the axis, and round numbers on the way there.
const scaleOf = (highest) => {
  const step = highest > 0.6 ? 0.2 : highest > 0.3 ? 0.1 : highest > 0.1 ? 0.05 : 0.02;
  const steps = highest > 0 ? Math.min(Math.round(1 / step), Math.ceil(highest / step - 1e-9)) : 5;
  return { steps, top: steps * step };
};

const axes = (svg, { steps, top }, last, x, y) => {
  for (let i = 0; i <= steps; i += 1) {
    const value = top * i / steps;
    add(svg, "line", { class: "grid", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(value), y2: y(value) });
    add(svg, "text", { x: BOX.left - 8, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2));
  }
  for (const epoch of [...new Set([1, Math.round((1 + last) / 2), last])]) {
    add(svg, "text", { x: x(epoch), y: BOX.height - BOX.bottom + 18, "text-anchor": epoch === last && last > 1 ? "end" : epoch === 1 ? "start" : "middle" }, epoch);
  }
  add(svg, "text", { x: (BOX.left + BOX.width - BOX.right) / 2, y: BOX.height - 5, "text-anchor": "middle" }, "epoch");
  add(svg, "text", { x: 4, y: 13 }, svg.parentElement.dataset.metric || "score");
};

// `series` are lists of {epoch, score}; `epochs` is how far the axis reaches at least.
export const drawCurves = (svg, series, epochs) => {
  svg.replaceChildren();
  BOX.width = Math.max(300, Math.round(svg.parentElement.clientWidth));
  BOX.height = BOX.width < 480 ? 240 : 320;
  svg.setAttribute("viewBox", `0 0 ${BOX.width} ${BOX.height}`);
  const all = series.flat();
  const scale = scaleOf(Math.max(0, ...all.map((point) => point.score)));
  const last = Math.max(epochs || 1, 1, ...all.map((point) => point.epoch));
  const x = (epoch) => BOX.left + (BOX.width - BOX.left - BOX.right) * (last > 1 ? (epoch - 1) / (last - 1) : 0.5);
  const y = (value) => BOX.height - BOX.bottom - (BOX.height - BOX.top - BOX.bottom) * value / scale.top;
  axes(svg, scale, last, x, y);
  series.forEach((points, number) => {
    if (!points.length) return;
    const group = add(svg, "g", { class: `curve-${number % STYLES}` });
    add(group, "polyline", { class: "line", points: points.map((point) => `${x(point.epoch)},${y(point.score)}`).join(" ") });
    if (points.length <= 60) for (const point of points) add(group, "circle", { class: "point", cx: x(point.epoch), cy: y(point.score), r: 3 });
  });
  if (series.length !== 1 || !all.length) return;
  const best = all.reduce((a, b) => (b.score > a.score ? b : a));
  add(svg, "circle", { class: "best", cx: x(best.epoch), cy: y(best.score), r: 6 });
  const end = x(best.epoch) > BOX.width - 110;
  add(svg, "text", { class: "best-label", x: x(best.epoch) + (end ? -10 : 10), y: Math.max(y(best.score) - 8, 22), "text-anchor": end ? "end" : "start" }, `best ${best.score.toFixed(3)}`);
};

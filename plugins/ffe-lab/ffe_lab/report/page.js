"use strict";
// Says what the lines of a chart are worth where the pointer is. Everything can be read without it.
const written = {
  money: (value) => value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }),
  percent: (value) => `${(value * 100).toFixed(2)} %`,
  ratio: (value) => value.toFixed(2),
};

function points(line) {
  return line.getAttribute("d").split(/[ML]/).slice(1).map((pair) => pair.split(" ").map(Number));
}

// The last point that is not right of x, by bisection.
function at(line, x) {
  let low = 0;
  let high = line.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (line[middle][0] <= x) low = middle;
    else high = middle - 1;
  }
  return line[low][0] <= x ? line[low] : null;
}

for (const plot of document.querySelectorAll(".plot")) {
  const { start, end, low, high, top, height, unit } = plot.dataset;
  const lines = [...plot.querySelectorAll("path[data-name]")].map((line) => [line.dataset.name, points(line)]).reverse();
  const cursor = plot.querySelector(".cursor");
  const readout = document.createElement("p");
  readout.className = "readout";
  plot.after(readout);

  const value = (y) => +high - ((y - +top) / (+height - +top)) * (+high - +low);
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const when = new Date(+start + share * (+end - +start)).toISOString().slice(0, 16).replace("T", " ");
    const told = lines.map(([name, line]) => [name, at(line, share * 1000)]).filter(([, point]) => point);
    readout.textContent = [`${when} UTC`, ...told.map(([name, point]) => `${name} ${written[unit](value(point[1]))}`)].join(" · ");
    cursor.setAttribute("d", `M${share * box.width} ${top}V${height}`);
  });
  plot.addEventListener("pointerleave", () => {
    readout.textContent = "";
    cursor.setAttribute("d", "");
  });
}

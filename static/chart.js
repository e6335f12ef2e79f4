// Draws the figure with Plotly, in the page's ink, and again when the theme changes.
const holder = element.querySelector(".chart");
let figure = null;
let listening = false;

function inked(layout) {
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(`--mien-${name}`).trim();
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("quiet"), linecolor: colour("line"), tickcolor: colour("line") };
  const narrow = holder.clientWidth < 480;
  const result = {
    ...layout,
    font: { ...(layout.font ?? {}), color: colour("ink"), size: narrow ? 11 : 13 },
    hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink"), size: 13 } },
  };
  for (const key of Object.keys(layout).filter((name) => /^[xy]axis/.test(name))) result[key] = { ...axis, ...layout[key] };
  return result;
}

async function draw() {
  if (!figure) {
    if (window.Plotly) window.Plotly.purge(holder);
    return;
  }
  const plotly = await window.mien.loadPlotly();
  await plotly.react(holder, figure.data, inked(figure.layout), { displayModeBar: false, responsive: true });
  if (!listening) {
    listening = true;
    holder.on("plotly_click", (event) => {
      const index = event.points?.[0]?.customdata;
      if (Number.isInteger(index)) trigger("point", { index });
    });
  }
}

function take() {
  figure = props.value ? JSON.parse(props.value) : null;
  draw();
}

watch("value", take);
take(); // the first figure may be there before this script, when the chart was hidden until now
window.addEventListener("mien-theme", draw);

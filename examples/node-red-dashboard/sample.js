// Sends the rates of each instance to the chart, also while they do not change.
const tree = flow.get("tree") || {};
const points = [];
for (const topic of Object.keys(tree).sort()) {
    const [name, kind] = topic.split("/").slice(1);
    const base = topic.slice(0, topic.lastIndexOf("/"));
    if (kind !== "metrics" || name === "bridge" || tree[`${base}/state`] !== "online") {
        continue;
    }
    for (const [key, label] of [["in_rate", "download"], ["out_rate", "upload"]]) {
        const rate = tree[topic][key];
        if (typeof rate === "number") {
            points.push({ topic: `${name} ${label}`, payload: Math.round(rate / 1000) / 1000 });
        }
    }
}
return [points];

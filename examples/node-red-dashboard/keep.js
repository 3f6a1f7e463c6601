// Keeps the newest payload of each topic. Any client of the broker may publish, so names and payloads are checked.
if (msg.status) {
    // The broker sends every retained message after a connection, so what is known from before can be dropped.
    flow.set("tree", {});
    flow.set("connected", msg.status.fill === "green");
    flow.set("changed", true);
    return null;
}
const [instance, kind] = msg.topic.split("/").slice(1);
if (!/^[a-z0-9_-]{1,32}$/.test(instance)) {
    return null;
}
const tree = flow.get("tree") || {};
let payload = String(msg.payload);
if (payload !== "" && kind !== "state") {
    try {
        payload = JSON.parse(payload);
    } catch {
        return null;
    }
    if (payload === null || typeof payload !== "object" || Array.isArray(payload)) {
        return null;
    }
}
if (payload === "") {
    delete tree[msg.topic]; // removed in Syncthing
} else {
    tree[msg.topic] = payload;
}
flow.set("tree", tree);
flow.set("connected", true);
flow.set("changed", true);
return null;

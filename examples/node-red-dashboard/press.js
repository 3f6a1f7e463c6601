// Sends the command of a button. A browser can send any message, so only these commands are accepted.
const COMMANDS = ["scan", "pause", "resume", "pause_all", "resume_all"];
const PATIENCE_MS = 20000;

const { id, instance, command, subject, arguments: given } = msg.payload || {};
if (
    !COMMANDS.includes(command) ||
    !/^[a-z0-9_-]{1,32}$/.test(instance) ||
    instance === "bridge" ||
    !/^[a-z0-9]{8,32}$/.test(id)
) {
    return null;
}
const transaction = `node-red-dashboard-${id}`;
const payload = { transaction };
for (const key of ["folder", "device"]) {
    if (typeof given?.[key] === "string") {
        payload[key] = given[key];
    }
}
const waiting = flow.get("waiting") || {};
flow.set("waiting", waiting);
waiting[transaction] = { id, what: `${instance}: ${subject ? `${String(subject).slice(0, 100)}: ` : ""}${command}` };
setTimeout(() => {
    if (waiting[transaction]) {
        node.send([null, { payload: { transaction, status: "error", error: { message: "no reply: is the bridge running?" } } }]);
    }
}, PATIENCE_MS);
return [{ topic: `syncthing/${instance}/command/${command}`, payload }, null];

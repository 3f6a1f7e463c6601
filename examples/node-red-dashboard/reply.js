// Keeps the last replies to commands of this page; it ignores replies to the commands of other clients.
const KEPT = 20;
const WORDS = { ok: "done", accepted: "started" };

const reply = msg.payload || {};
const waiting = flow.get("waiting") || {};
const asked = Object.hasOwn(waiting, reply.transaction) ? waiting[reply.transaction] : null;
if (!asked) {
    return null;
}
delete waiting[reply.transaction];
const word = WORDS[reply.status] || String(reply.error?.message || "error").slice(0, 300);
const replies = [{ id: asked.id, text: `${asked.what}: ${word}`, ok: Boolean(WORDS[reply.status]) }, ...(flow.get("replies") || [])];
flow.set("replies", replies.slice(0, KEPT));
return { now: true };

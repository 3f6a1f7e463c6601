// Settings for Node-RED in docker-compose.yml. The editor has a password, because it can run any code.
const { timingSafeEqual, createHash } = require("crypto");
const { readFileSync } = require("fs");

const password = readFileSync(process.env.EDITOR_PASSWORD_FILE, "utf8").trim();
const digest = (text) => createHash("sha256").update(String(text)).digest();
const admin = { username: "admin", permissions: "*" };

// The pages of the flows have no password. They are served only under local host names, so that no other web page can
// reach them with a host name that resolves to this machine (DNS rebinding).
const isLocal = (host) => /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(host || "");

module.exports = {
    flowFile: "flows.json",
    adminAuth: {
        type: "credentials",
        users: async (name) => (name === admin.username ? admin : null),
        authenticate: async (name, given) =>
            name === admin.username && timingSafeEqual(digest(given), digest(password)) ? admin : null,
    },
    httpNodeMiddleware: (request, response, next) =>
        isLocal(request.headers.host) ? next() : response.sendStatus(403),
    dashboard: {
        // The connection of a dashboard does not pass the middleware above. Browsers open it from any page, but then
        // they send the origin of that page, so it has to be the same as the host.
        ioMiddleware: (socket, next) => {
            const { host, origin } = socket.handshake.headers;
            const isOwn = !origin || origin.replace(/^https?:\/\//, "") === host;
            return isLocal(host) && isOwn ? next() : next(new Error("refused"));
        },
    },
};

// The settings of the Node-RED of docker-compose.yml: a password for the editor, which can run any code.
const { timingSafeEqual, createHash } = require("crypto");
const { readFileSync } = require("fs");

const password = readFileSync(process.env.EDITOR_PASSWORD_FILE, "utf8").trim();
const digest = (text) => createHash("sha256").update(String(text)).digest();
const admin = { username: "admin", permissions: "*" };

module.exports = {
    flowFile: "flows.json",
    adminAuth: {
        type: "credentials",
        users: async (name) => (name === admin.username ? admin : null),
        authenticate: async (name, given) =>
            name === admin.username && timingSafeEqual(digest(given), digest(password)) ? admin : null,
    },
    // The pages of the flows have no password. They are served under the names of this machine only, so that no other
    // web page reaches them by a name of its own that leads here (DNS rebinding).
    httpNodeMiddleware: (request, response, next) =>
        /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(request.headers.host || "") ? next() : response.sendStatus(403),
};

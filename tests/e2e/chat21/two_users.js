// Two unmodified stock Chat21 clients chat; what reached each inbox is printed as one line of JSON.
// Argument: the folder where the packages of package.json are installed.
// Standard input: {"endpoint": ..., "app": ..., "alice": {"user": ..., "token": ...}, "bob": {...}}
const fs = require("fs");
const { createRequire } = require("module");

const { Chat21Client } = createRequire(`${process.argv[2]}/`)("@chat21/chat21-server/mqttclient/chat21client.js");
const plan = JSON.parse(fs.readFileSync(0, "utf8"));
const inboxes = { alice: [], bob: [] };
const replies = { alice: { hi: "bye" }, bob: { hello: "hi" } };
const chats = {};

// The stock client calls back on CONNACK, before it is subscribed: wait for the SUBACK of its own MQTT client.
function connect(name) {
  return new Promise((resolve) => {
    const chat = new Chat21Client({ MQTTendpoint: plan.endpoint, APIendpoint: "", appId: plan.app });
    chat.connect(plan[name].user, plan[name].token, () => {});
    chat.client.on("packetreceive", (packet) => packet.cmd === "suback" && resolve());
    chats[name] = chat;
  });
}

function send(name, text) {
  const recipient = plan[name === "alice" ? "bob" : "alice"].user;
  chats[name].sendMessage(text, "text", recipient, "Their Name", "My Name", null, { src: "a.png" }, "direct", () => {});
}

// "bye" goes the same way as "hello", after it: once it is there, no second copy of "hello" can still be coming.
function hasBye(inbox) {
  return inbox.some(({ message }) => message.text === "bye");
}

function collect(name, resolve) {
  chats[name].onMessageAdded((message, topic) => {
    inboxes[name].push({ conversWith: topic.conversWith, message });
    const reply = replies[name][message.text];
    if (reply) send(name, reply);
    if (Object.values(inboxes).every(hasBye)) resolve();
  });
}

async function main() {
  await Promise.all([connect("alice"), connect("bob")]);
  await new Promise((resolve) => {
    collect("alice", resolve);
    collect("bob", resolve);
    send("alice", "hello");
  });
  console.log(JSON.stringify(inboxes));
  Object.values(chats).forEach((chat) => chat.close());
}

main();

// A first message from JavaScript: node chat.js <you> <peer> <text>
import mqtt from "mqtt";

const [me, peer, text] = process.argv.slice(2);
const api = process.env.API_URL ?? "http://127.0.0.1:8080";

// 1. A token. In your app your own server asks for it: the API key never goes to a browser or a phone.
const answer = await fetch(`${api}/v1/tokens`, {
  method: "POST",
  headers: { Authorization: `Bearer ${process.env.API_KEY}`, "Content-Type": "application/json" },
  body: JSON.stringify({ user: me }),
});
if (!answer.ok) throw new Error(`no token: ${await answer.text()}`);
const entry = await answer.json();

// 2. Connect with what came with the token. The same lines work in a browser.
const client = await mqtt.connectAsync(entry.websocket_url, {
  clientId: entry.client_id,
  username: entry.username,
  password: entry.token,
});

// 3. Everything for this user arrives under one filter.
client.on("message", (topic, payload) => {
  const message = JSON.parse(payload.toString());
  if (topic.endsWith("/clientadded")) console.log(`${message.sender}: ${message.text}`);
  if (topic.endsWith("/refused")) console.log(`not sent: ${message.reason}`);
});
await client.subscribeAsync(entry.subscribe);

// 4. Send. Your own copy coming back is the sign that the message is stored.
await client.publishAsync(
  entry.publish.replace("{recipient}", peer),
  JSON.stringify({ text, type: "text", client_message_id: crypto.randomUUID() }),
  { qos: 1 },
);

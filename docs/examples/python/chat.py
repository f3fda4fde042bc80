"""A first message from Python: python chat.py <you> <peer> <text>"""

import json
import os
import sys
import uuid
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import paho.mqtt.client as mqtt

me, peer, text = sys.argv[1:]
api = os.environ.get("API_URL", "http://127.0.0.1:8080")

# 1. A token. In your app your own server asks for it: the API key never goes to a browser or a phone.
headers = {"Authorization": f"Bearer {os.environ['API_KEY']}", "Content-Type": "application/json"}
with urlopen(Request(f"{api}/v1/tokens", json.dumps({"user": me}).encode(), headers)) as answer:
    entry = json.load(answer)


# 2. Everything for this user arrives under one filter.
def on_connect(client, userdata, flags, reason_code, properties):
    print(f"connected: {reason_code}", flush=True)
    client.subscribe(entry["subscribe"])


# 3. Send. Your own copy coming back is the sign that the message is stored.
def on_subscribe(client, userdata, mid, reason_codes, properties):
    topic = entry["publish"].replace("{recipient}", peer)
    message = {"text": text, "type": "text", "client_message_id": str(uuid.uuid4())}
    client.publish(topic, json.dumps(message), qos=1)


def on_message(client, userdata, received):
    message = json.loads(received.payload)
    if received.topic.endswith("/clientadded"):
        print(f"{message['sender']}: {message['text']}", flush=True)
    if received.topic.endswith("/refused"):
        print(f"not sent: {message['reason']}", flush=True)


# 4. Connect with what came with the token, and stay until Ctrl-C.
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=entry["client_id"])
client.username_pw_set(entry["username"], entry["token"])
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
broker = urlsplit(entry["mqtt_url"])
client.connect(broker.hostname, broker.port)
with suppress(KeyboardInterrupt):
    client.loop_forever()

"""A foreign peer in pika: `call`, `serve`, `publish` or `consume`, once each."""
import json
import sys

import pika

what, url, argument = sys.argv[1:4]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()


def call():
    def answered(_channel, _method, properties, body):
        print(json.dumps({"type": properties.type, "id": properties.correlation_id, "body": json.loads(body)}))
        channel.stop_consuming()

    channel.basic_consume("amq.rabbitmq.reply-to", answered, auto_ack=True)
    channel.basic_publish(
        "",
        "cargo.v1.Tracking",
        argument.encode(),
        pika.BasicProperties(
            type="cargo.v1.Tracking/find",
            content_type="application/json",
            correlation_id="from python",
            reply_to="amq.rabbitmq.reply-to",
            headers={"x-tenant": "acme", "connect-timeout-ms": "5000"},
        ),
    )
    channel.start_consuming()


def serve():
    def asked(_channel, method, properties, body):
        request = json.loads(body)
        if request["n"] < 0:
            kind, answer = "error", {"code": "not_found", "message": "no such cargo"}
        else:
            kind, answer = "response", {"n": request["n"] * 2, "text": properties.type}
        channel.basic_publish(
            "",
            properties.reply_to,
            json.dumps(answer).encode(),
            pika.BasicProperties(
                type=kind, correlation_id=properties.correlation_id, content_type="application/json", headers={"x-by": "python"}
            ),
        )
        channel.basic_ack(method.delivery_tag)

    channel.queue_declare("cargo.v1.Tracking", durable=True, auto_delete=True, arguments={"x-expires": 60000})
    channel.basic_consume("cargo.v1.Tracking", asked)
    print("serving", flush=True)
    channel.start_consuming()


def publish():
    channel.confirm_delivery()
    channel.basic_publish("cargo.v1.CargoEvents", "booked", argument.encode(), pika.BasicProperties(delivery_mode=2), mandatory=True)
    print("published")


def consume():
    channel.exchange_declare("cargo.v1.CargoEvents", "topic", durable=True)
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, "cargo.v1.CargoEvents", argument)
    print("listening", flush=True)
    for method, properties, body in channel.consume(queue, auto_ack=True):
        print(json.dumps({"key": method.routing_key, "type": properties.type, "body": json.loads(body)}))
        break


{"call": call, "serve": serve, "publish": publish, "consume": consume}[what]()
connection.close()

"""One way to break each guarantee, and the test that must notice."""

from dataclasses import dataclass

FAULTS = "tests/integration/test_faults.py"
DIRECT = "tests/integration/test_direct_message.py"
POLICIES = "tests/integration/test_policies_hold.py"
HOSTILE = "tests/integration/test_hostile_publishes.py"
BAD_INPUT = "tests/integration/test_bad_input.py"
PERMISSIONS = "tests/integration/test_token_permissions.py"
SAVE = "tests/contract/test_store_save.py"
READING = "tests/contract/test_store_reading.py"


@dataclass(frozen=True, slots=True)
class Break:
    """In `file`, `old` (which stands there once) becomes `new`; then `test` must fail."""

    promise: int
    what: str
    file: str
    old: str
    new: str
    test: str


BREAKS = (
    Break(
        1,
        "RabbitMQ takes a message for done as soon as it is delivered",
        "observer/broker/connect.py",
        "basic_consume(queue, _passed_by, consumer_tag=tag)",
        "basic_consume(queue, _passed_by, consumer_tag=tag, no_ack=True)",
        f"{FAULTS}::test_an_observer_killed_under_load_loses_nothing",
    ),
    Break(
        1,
        "a message is acknowledged although it was not stored",
        "observer/pipeline/process.py",
        "            await services.store.save(messages, known)\n",
        "            services.store.save(messages, known).close()\n",
        f"{FAULTS}::test_an_observer_that_is_told_to_stop_drains",
    ),
    Break(
        1,
        "RabbitMQ's confirms are not waited for",
        "observer/broker/publishing_line.py",
        "            await self._until_answered(confirms, self._answered)\n",
        "            await asyncio.sleep(0)\n",
        "tests/integration/test_publisher.py::test_what_the_broker_does_not_confirm_does_not_count_as_published",
    ),
    Break(
        1,
        "what was stored when a process died is not shown again",
        "observer/pipeline/judge.py",
        "direct.plan_echo(known) if is_echo else direct.plan_copies(known)",
        "direct.plan_echo(known)",
        "tests/unit/pipeline/test_judge.py"
        "::test_a_redelivered_message_that_is_stored_gets_all_its_copies_again_as_they_were",
    ),
    Break(
        2,
        "a message is shown although its save was given up",
        "observer/store/sqlite_save.py",
        "        elif found[0] != (*row[:2], *row[5:7]):\n",
        "        elif False:\n",
        f"{SAVE}::test_a_message_that_a_save_given_up_stored_after_all_is_shown_as_it_is_stored",
    ),
    Break(
        3,
        "what has waited longest is taken last",
        "observer/broker/shard_queue.py",
        "self._waiting.popleft()",
        "self._waiting.pop()",
        f"{DIRECT}::test_messages_of_one_sender_arrive_in_the_order_sent",
    ),
    Break(
        3,
        "an offset that another process has taken stops nobody",
        "observer/store/sqlite_save.py",
        "if any(place == row[0] and key != row[1] for place, key, *_ in found):",
        "if False:",
        f"{SAVE}::test_an_offset_that_another_message_holds_means_that_the_shard_is_lost",
    ),
    Break(
        3,
        "a batch that is tried again is numbered behind what another process has stored",
        "observer/pipeline/shard.py",
        "                batch = batch.unsettled()\n",
        "                batch = batch.unsettled()\n                numbering = None\n",
        "tests/unit/pipeline/test_shard.py::test_a_batch_that_is_tried_again_is_numbered_as_before",
    ),
    Break(
        4,
        "the client's own id makes no message id",
        "observer/pipeline/decode.py",
        "return message_id_of(topic.app, topic.sender, own_id), None",
        "return str(uuid4()), None",
        f"{DIRECT}::test_the_same_client_message_id_is_one_message",
    ),
    Break(
        4,
        "what is tried again gets another id",
        "observer/pipeline/decode.py",
        "    if incoming.message_id is not None:\n        return incoming.message_id, None\n",
        "",
        "tests/unit/pipeline/test_decode.py::test_a_message_that_we_parked_keeps_the_id_that_it_was_given",
    ),
    Break(
        5,
        "a policy that crashes lets its message through",
        "policies/chain.py",
        '        raise PolicyFailed(name, f"raised {type(error).__name__}") from error\n',
        "        return ALLOW\n",
        f"{POLICIES}::test_a_message_whose_policy_crashes_is_never_delivered[sqlite]",
    ),
    Break(
        5,
        "a blocked message is in the recipient's timeline",
        "observer/handlers/direct.py",
        "if sender == recipient or not reaches_recipient:",
        "if sender == recipient:",
        f"{POLICIES}::test_a_block_holds_from_the_next_message_on_and_is_not_revealed[sqlite]",
    ),
    Break(
        6,
        "a token reaches everybody's inbox",
        "observer/tokens/scopes.py",
        'f"{audience}.read:{place}/amq.topic/apps.{app}.users.{user}.*",',
        'f"{audience}.read:{place}/amq.topic/apps.{app}.users.*",',
        PERMISSIONS,
    ),
    Break(
        6,
        "AMQP takes passwords and tokens",
        "rabbitmq/rabbitmq.conf",
        "auth_mechanisms.1 = EXTERNAL",
        "auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = EXTERNAL",
        f"{PERMISSIONS}::test_a_token_opens_no_amqp_connection",
    ),
    Break(
        7,
        "after a message that cut the line the shard goes on with everything in hand",
        "observer/pipeline/shard.py",
        "        prefetch = 1 if self._careful_left else self.prefetch\n",
        "        prefetch = self.prefetch\n",
        f"{HOSTILE}::test_a_topic_too_long_for_amqp_is_dead_lettered_and_its_neighbours_arrive",
    ),
    Break(
        7,
        "a topic that is no text makes the decoder raise",
        "observer/broker/shard_queue.py",
        'delivery.routing_key.decode(errors="backslashreplace"), False',
        "delivery.routing_key.decode(), False",
        f"{HOSTILE}::test_invalid_utf8_in_a_topic_is_refused_and_told",
    ),
    Break(
        7,
        "a refusal is told to nobody",
        "observer/pipeline/plan.py",
        "        self.publish(index, (Publication(topics.refused",
        "        self.publish(index, () and (Publication(topics.refused",
        f"{BAD_INPUT}::test_each_bad_topic_is_answered_with_its_code[sqlite]",
    ),
    Break(
        8,
        "a page of the timeline begins behind its first message",
        "observer/store/sqlite_read.py",
        "WHERE t.app = ? AND t.owner = ? AND t.place BETWEEN ? AND ? ORDER BY t.place LIMIT ?",
        "WHERE t.app = ? AND t.owner = ? AND t.place > ? AND t.place <= ? ORDER BY t.place LIMIT ?",
        f"{READING}::test_a_timeline_goes_on_where_the_reader_stopped",
    ),
)

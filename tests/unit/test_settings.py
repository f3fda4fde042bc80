"""Settings: file and environment make one tree, and whatever is wrong is told at once, by key, with the remedy."""

from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from observer.errors import ConfigError
from observer.message import MAX_CLIENT_TIMESTAMP_MS, Message, encode_copy, own_fields
from observer.settings import MAX_MESSAGE_BYTES, ApiKey, BrokerSettings, Role, Section, Settings
from observer.settings_checks import is_loopback, risks
from observer.settings_keys import ROOT, Key, leaves, variable
from observer.settings_load import load, load_settings

KEY_32 = "0123456789abcdef0123456789abcdef"


def refusal(environ: Mapping[str, str] | None = None, file: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ or {})
    return str(caught.value)


def toml(folder: Path, text: str) -> Path:
    path = folder / "observer.toml"
    path.write_text(text, encoding="utf-8")
    return path


class TestSources:
    def test_nothing_given_means_the_defaults(self) -> None:
        assert load_settings(None, {}) == Settings()

    def test_the_file_sets_and_the_environment_wins(self, tmp_path: Path) -> None:
        file = toml(tmp_path, '[broker]\nhost = "rabbit"\nport = 5000\n')

        broker = load_settings(file, {"OBSERVER_BROKER__PORT": "5001"}).broker

        assert (broker.host, broker.port) == ("rabbit", 5001)
        assert broker.vhost == BrokerSettings().vhost

    def test_each_value_remembers_where_it_came_from(self, tmp_path: Path) -> None:
        file = toml(
            tmp_path, '[broker]\nhost = "rabbit"\n[identity.api_keys.shop]\napp = "a"\nsha256 = "' + "0" * 64 + '"\n'
        )

        origins = load(file, {"OBSERVER_LOG__LEVEL": "debug"}).origins

        assert origins == {
            ("broker", "host"): str(file),
            ("identity", "api_keys", "shop", "app"): str(file),
            ("identity", "api_keys", "shop", "sha256"): str(file),
            ("log", "level"): "OBSERVER_LOG__LEVEL",
        }

    def test_named_tables_can_be_written_key_by_key_in_the_environment(self) -> None:
        keys = load_settings(
            None,
            {
                "OBSERVER_IDENTITY__API_KEYS__SHOP__APP": "acme",
                "OBSERVER_IDENTITY__API_KEYS__SHOP__ROLE": "admin",
                "OBSERVER_IDENTITY__API_KEYS__SHOP__SHA256": "0" * 64,
            },
        ).identity.api_keys
        assert keys == {"shop": ApiKey(app="acme", role=Role.ADMIN, sha256="0" * 64)}

    def test_a_table_can_be_written_as_json_in_the_environment_beside_the_file(self, tmp_path: Path) -> None:
        file = toml(tmp_path, '[identity.api_keys.one]\napp = "a"\nsha256 = "' + "0" * 64 + '"\n')
        other = '{"two": {"app": "b", "sha256": "' + "1" * 64 + '"}}'

        keys = load_settings(file, {"OBSERVER_IDENTITY__API_KEYS": other}).identity.api_keys

        assert sorted(keys) == ["one", "two"]

    @pytest.mark.parametrize(
        "text", ["https://a.example, https://b.example", '["https://a.example","https://b.example"]']
    )
    def test_a_list_is_written_with_commas_or_as_json(self, text: str) -> None:
        origins = load_settings(None, {"OBSERVER_API__CORS_ORIGINS": text}).api.cors_origins
        assert origins == ("https://a.example", "https://b.example")

    def test_an_option_of_a_third_party_policy_keeps_its_type(self) -> None:
        extra = load_settings(
            None,
            {
                "OBSERVER_POLICIES__EXTRA__WORDS__LIMIT": "3",
                "OBSERVER_POLICIES__EXTRA__WORDS__STRICT": "true",
                "OBSERVER_POLICIES__EXTRA__WORDS__LIST": "one two",
            },
        ).policies.extra
        assert extra == {"words": {"limit": 3, "strict": True, "list": "one two"}}

    def test_a_secret_can_be_read_from_a_file_of_its_own(self, tmp_path: Path) -> None:
        """As container engines mount secrets; the newline that editors add is no part of it."""
        secret = tmp_path / "url"
        secret.write_text("mongodb://u:p@h/chat\n", encoding="utf-8")

        loaded = load(None, {"OBSERVER_STORE__URL_FILE": str(secret)})

        assert loaded.settings.store.url.get_secret_value() == "mongodb://u:p@h/chat"
        assert loaded.origins == {("store", "url"): "OBSERVER_STORE__URL_FILE"}

    def test_variables_of_other_programs_and_our_documented_others_are_left_alone(self) -> None:
        others = {"PATH": "/bin", "OBSERVER_CONFIG": "x", "OBSERVER_RABBITMQ_BIN": "x", "OBSERVER_TEST_BROKER": "x"}
        assert load_settings(None, others) == Settings()


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("text", "wrong", "meant"),
        [
            ('[broker]\nhots = "x"\n', "broker.hots", "broker.host?"),
            ("[polices.ban]\nenabled = false\n", "polices", "policies?"),
            ("[tokens.chat21]\nenable = true\n", "tokens.chat21.enable", "tokens.chat21.enabled?"),
        ],
    )
    def test_an_unknown_key_in_the_file_is_refused_with_the_nearest_known_one(
        self, tmp_path: Path, text: str, wrong: str, meant: str
    ) -> None:
        text = refusal(file=toml(tmp_path, text))
        assert wrong in text
        assert f"did you mean {meant}" in text

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("OBSERVER_BROKER__HOTS", "OBSERVER_BROKER__HOST?"),
            ("OBSERVER_BROKER_HOST", "OBSERVER_BROKER__HOST?"),
            ("OBSERVER_STORE__URI", "OBSERVER_STORE__URL?"),
            ("OBSERVER_BROKER__CA_FILES", "OBSERVER_BROKER__CA_FILE?"),
            ("OBSERVER_CONFG", "OBSERVER_CONFIG?"),
        ],
    )
    def test_an_unknown_variable_is_refused_with_the_nearest_known_one(self, name: str, meant: str) -> None:
        text = refusal({name: "x"})
        assert name in text
        assert f"did you mean {meant}" in text

    def test_only_a_secret_can_be_read_from_a_file_of_its_own(self) -> None:
        assert "OBSERVER_BROKER__HOST_FILE (environment): there is no such key" in refusal(
            {"OBSERVER_BROKER__HOST_FILE": "/etc/hosts"}
        )


class TestErrors:
    def test_everything_that_is_wrong_is_told_at_once(self, tmp_path: Path) -> None:
        file = toml(tmp_path, 'shutdown_timeout_s = "soon"\n[broker]\nport = 99999\nhots = "x"\n')

        text = refusal({"OBSERVER_LOG__LEVEL": "loud", "OBSERVER_NOPE": "1"}, file)

        assert text.count("\n  - ") == 5

    def test_an_error_names_key_value_origin_what_is_allowed_and_the_variable(self, tmp_path: Path) -> None:
        file = toml(tmp_path, "[broker]\nport = 99999\n")
        assert (
            f"broker.port = 99999 ({file}): it must be a whole number, at least 1, at most 65535; "
            "set it in the file or as OBSERVER_BROKER__PORT"
        ) in refusal(file=file)

    def test_the_words_of_a_choice_are_listed(self) -> None:
        assert "`debug` or `info` or `warning` or `error`" in refusal({"OBSERVER_LOG__LEVEL": "loud"})

    def test_a_missing_key_is_named_with_its_variable(self, tmp_path: Path) -> None:
        file = toml(tmp_path, '[identity.api_keys.shop]\napp = "a"\n')
        text = refusal(file=file)
        assert "identity.api_keys.shop.sha256 is missing" in text
        assert "OBSERVER_IDENTITY__API_KEYS__SHOP__SHA256" in text

    @pytest.mark.parametrize(
        "environ",
        [
            {"OBSERVER_STORE": "mongodb://user:hunter2@h/chat"},
            {"OBSERVER_STORE": "hunter2"},
            {"OBSERVER_TOKENS__CHAT21": '{"key": ["hunter2"]}'},
            {"OBSERVER_STORE__URL": "hunter2://h"},
            {"OBSERVER_STORE__URL": "mongo://user:hunter2@h/chat"},
            {"OBSERVER_TOKENS__CHAT21__ENABLED": "true", "OBSERVER_TOKENS__CHAT21__KEY": "hunter2"},
            {"OBSERVER_TOKENS__CHAT21": '{"key": "hunter2", "nope": 1}'},
            {"OBSERVER_IDENTITY__ISSUERS__A": '{"shared_key": "hunter2"}'},
            {"OBSERVER_STORE__URI": "mongodb://user:hunter2@h/chat"},
            {"OBSERVER_IDENTITY__API_KEYS__A__APP": "a", "OBSERVER_IDENTITY__API_KEYS__A__SHA256": "hunter2"},
            {"OBSERVER_IDENTITY__API_KEYS": '{"a": {"app": "a", "sha256": "hunter2"}}'},
            {"OBSERVER_IDENTITY__API_KEYS": '{"a": "hunter2"}'},
        ],
    )
    def test_no_error_repeats_a_secret(self, environ: dict[str, str]) -> None:
        assert "hunter2" not in refusal(environ)

    def test_settings_never_print_a_secret(self) -> None:
        settings = load_settings(None, {"OBSERVER_STORE__URL": "mongodb://user:hunter2@h/chat"})
        assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        assert str(tmp_path / "nope.toml") in refusal(file=tmp_path / "nope.toml")

    @pytest.mark.parametrize("content", [b"[broker\n", b"\xff\xfe"], ids=["not TOML", "not UTF-8"])
    def test_a_file_that_cannot_be_parsed_is_named(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "bad.toml"
        path.write_bytes(content)
        assert f"{path} is not TOML in UTF-8" in refusal(file=path)

    def test_a_secret_given_twice_is_refused(self, tmp_path: Path) -> None:
        text = refusal({"OBSERVER_STORE__URL": "sqlite:///x", "OBSERVER_STORE__URL_FILE": str(tmp_path)})
        assert "both set" in text

    def test_a_secret_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        assert str(tmp_path / "nope") in refusal({"OBSERVER_STORE__URL_FILE": str(tmp_path / "nope")})


class TestContradictions:
    @pytest.mark.parametrize(
        ("environ", "told"),
        [
            ({"STORE__URL": "postgres://h/x"}, "store.url: it must be sqlite:///path/to/file or mongodb://"),
            ({"STORE__URL": "mongodb://h:1"}, "store.url"),
            ({"STORE__URL": "sqlite://"}, "store.url"),
            ({"STORE__URL": "sqlite://host/x"}, "store.url"),
            ({"STORE__URL": "mongodb://h:port/x"}, "store.url"),
            ({"TOKENS__CHAT21__ENABLED": "true"}, "needs a key of at least 32 bytes (it has 0)"),
            ({"TOKENS__CHAT21__ENABLED": "true", "TOKENS__CHAT21__KEY": KEY_32[1:]}, "(it has 31)"),
            ({"TOKENS__CHAT21__APP": "a.b"}, "tokens.chat21.app"),
            ({"IDENTITY__API_KEYS__K": '{"app": "#", "sha256": "' + "0" * 64 + '"}'}, "identity.api_keys.k.app"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a", "algorithms": ["HS256"]}'}, "identity.issuers.i.shared_key"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a", "algorithms": ["HS256"], "shared_key": "short"}'}, "needed (5)"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a", "jwks_url": "https://i", "shared_key": "k"}'}, "HS256 is not"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a", "jwks_url": "https://i", "algorithms": ["HS256"]}'}, "RS256 is"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a", "algorithms": []}'}, "identity.issuers.i.algorithms"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a"}'}, "identity.issuers.i.jwks_url"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a", "jwks_url": "https://i", "user_claim": ""}'}, "i.user_claim"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a", "jwks_url": "http://idp.example/k"}'}, "https address"),
            ({"IDENTITY__ISSUERS__I": '{"app": "a/b", "jwks_url": "https://i.example/"}'}, "identity.issuers.i.app"),
            ({"BROKER__HOST": " "}, "broker.host"),
            ({"PUBLIC__MQTT_URL": "http://h"}, "public.mqtt_url"),
            ({"PUBLIC__WEBSOCKET_URL": "wss://"}, "public.websocket_url"),
            ({"PUBLIC__API_URL": "example.com"}, "public.api_url"),
        ],
    )
    def test_what_cannot_work_together_is_an_error(self, environ: dict[str, str], told: str) -> None:
        assert told in refusal({f"OBSERVER_{name}": value for name, value in environ.items()})

    @pytest.mark.parametrize(
        "environ",
        [
            {"STORE__URL": "sqlite:////var/lib/chat.db"},
            {"STORE__URL": "mongodb://u:p@a,b:27018/chat?replicaSet=rs0"},
            {"STORE__URL": "mongodb://u:a,b@a:27017,b:27018,c/chat?replicaSet=rs0"},
            {"STORE__URL": "mongodb://[::1]:27017,[::1]:27018/chat"},
            {"STORE__URL": "mongodb+srv://cluster.example/chat"},
            {"TOKENS__CHAT21__ENABLED": "true", "TOKENS__CHAT21__KEY": KEY_32},
            {"IDENTITY__ISSUERS__I": '{"app": "a", "algorithms": ["HS256"], "shared_key": "' + KEY_32 + '"}'},
            {"IDENTITY__ISSUERS__I": '{"app": "a", "jwks_url": "http://127.0.0.1:9000/jwks"}'},
            {"PUBLIC__WEBSOCKET_URL": "wss://chat.example/ws"},
        ],
    )
    def test_what_can_work_is_taken(self, environ: dict[str, str]) -> None:
        assert load_settings(None, {f"OBSERVER_{name}": value for name, value in environ.items()})


class TestRisks:
    def test_the_defaults_carry_one_warning_that_nobody_can_get_a_token_yet(self) -> None:
        assert [text.split(":")[0] for text in risks(Settings())] == ["identity is empty"]

    @pytest.mark.parametrize(
        ("environ", "told"),
        [
            ({"API__HOST": "0.0.0.0"}, "speaks no TLS"),  # noqa: S104
            ({"API__METRICS_OPEN": "true"}, "/metrics"),
            ({"PUBLIC__MQTT_URL": "mqtt://chat.example"}, "without TLS"),
            ({"API__CORS_ORIGINS": "*"}, "cors_origins"),
            ({"POLICIES__BLOCK__ENABLED": "false"}, "policies.block.enabled = false"),
            ({"TOKENS__ALGORITHM": "HS256"}, "tokens.algorithm = HS256"),
            ({"BROKER__PREFETCH": "10"}, "broker.batch_max = 500 is more than broker.prefetch = 10"),
            ({"POLICIES__SHAPE__MAX_BYTES": "256"}, "can never be reached"),
            ({"API__MAX_BODY_BYTES": "1024"}, "api.max_body_bytes = 1024"),
            (
                {"TOKENS__CHAT21__ENABLED": "true", "TOKENS__CHAT21__KEY": KEY_32, "TOKENS__CHAT21__TTL_S": "2592001"},
                "more than 30 days",
            ),
        ],
    )
    def test_what_works_and_may_not_be_meant_is_a_warning(self, environ: dict[str, str], told: str) -> None:
        settings = load_settings(None, {f"OBSERVER_{name}": value for name, value in environ.items()})
        assert any(told in text for text in risks(settings))

    def test_a_chat21_token_of_thirty_days_is_not_called_long(self) -> None:
        chat21 = {"ENABLED": "true", "KEY": KEY_32, "TTL_S": "2592000"}
        settings = load_settings(None, {f"OBSERVER_TOKENS__CHAT21__{name}": value for name, value in chat21.items()})
        assert [text for text in risks(settings) if "30 days" in text] == []

    @pytest.mark.parametrize(
        ("host", "expected"),
        [
            *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")),
            *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")),  # noqa: S104
        ],
    )
    def test_loopback_is_what_only_this_machine_reaches(self, host: str, expected: bool) -> None:
        assert is_loopback(host) is expected


class TestLargestMessage:
    @pytest.mark.parametrize("name", ["OBSERVER_POLICIES__SHAPE__MAX_BYTES", "OBSERVER_API__MAX_BODY_BYTES"])
    def test_no_limit_lets_in_what_might_not_go_out_again(self, name: str) -> None:
        load_settings(None, {name: str(MAX_MESSAGE_BYTES)})
        assert "at most 4000000" in refusal({name: str(MAX_MESSAGE_BYTES + 1)})

    def test_it_fits_into_broker_and_store_even_where_writing_it_anew_makes_it_longest(self) -> None:
        numbers = b",".join([b"1e15"] * (MAX_MESSAGE_BYTES // len("1e15,")))
        longest_id = 64 * "x"
        message = Message(
            message_id=longest_id,
            app=longest_id,
            sender=longest_id,
            recipient=longest_id,
            body=own_fields(orjson.loads(b'{"":[' + numbers + b"]}")),
            timestamp_ms=MAX_CLIENT_TIMESTAMP_MS,
            owners=(longest_id,),
            shard=0,
            offset=0,
            client_timestamp_ms=MAX_CLIENT_TIMESTAMP_MS,
        )
        assert MAX_MESSAGE_BYTES * 3.7 < len(encode_copy(message, longest_id)) < 16 * 2**20


class TestTree:
    def test_every_setting_is_described(self) -> None:
        """The reference in docs/configuration.md is made of these texts."""
        silent = [variable(key.path) for key in leaves() if key.field is not None and not key.field.description]
        assert silent == []

    def test_every_section_refuses_unknown_keys_and_cannot_be_changed(self) -> None:
        def sections(key: Key) -> list[type[Section]]:
            own = [key.section] if key.section is not None and issubclass(key.section, Section) else []
            return own + [section for below in key.below() for section in sections(below)]

        configs = {section.__name__: section.model_config for section in sections(ROOT)}
        assert len(configs) > 10
        assert all(config.get("extra") == "forbid" and config.get("frozen") for config in configs.values())

    def test_no_two_settings_share_a_variable(self) -> None:
        names = [variable(key.path) for key in leaves()]
        assert len(names) == len(set(names))

    def test_no_secret_has_a_default(self) -> None:
        secrets = {variable(key.path): key.field.default for key in leaves() if key.is_secret and key.field is not None}
        known = {name for name, value in secrets.items() if value.get_secret_value()}
        assert known == {"OBSERVER_STORE__URL"}, "the path of the embedded store is no secret; all others start empty"

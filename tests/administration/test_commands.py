"""The administrator's, steward's and partner's commands, as they are typed: files, exit codes, what is printed."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pytest

from cimfed.cli.main import main
from cimfed.cli.office import read_office
from cimfed.client.profile import read_profile
from cimfed.errors import BadConfig, NotFound
from cimfed.model import vocabulary
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Federation, Kind, PartnerName
from cimfed.model.vocabulary import VOCABULARY
from cimfed.rpc import clock
from cimfed.rpc.service import ServiceClient
from cimfed.trust.card import Card, parse_card, seal_card
from cimfed.trust.directory import publication
from cimfed.trust.directory.layout import REGISTRAR
from cimfed.trust.directory.listing import Directory, PublishedVocabulary
from cimfed.trust.envelope import PayloadType, from_json, verify
from cimfed.trust.identity_files import load_public_key, load_signing_key, make_identity
from cimfed.trust.keys import KeySigner
from cimfed.trust.tls import IssuingKey
from tests.board import Board
from tests.service import Running, serving
from tests.unit.cimfed.policy.documents import whole

POLICY = """\
format: cimfed/policy/v1
city: kz.almaty
version: {version}
valid: [2026-01-01T00:00Z, 2036-01-01T00:00Z]
declared:
  building: {{extent: [76.7, 43.1, 77.1, 43.4]}}
grants:
  - id: massing
    subject: {{org: [inst.tsinghua]}}
    purpose: [research]
    collection: building
    columns: {{function: exact, height: {height}}}
    geometry: {{max_lod: {lod}}}
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def cimfed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Runs ``cimfed ARGS`` in an empty folder, with nobody at the terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIMFED_HOME", str(tmp_path / "profiles"))

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["cimfed", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as ending:
            code = int(ending.code or 0)
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def service(cimfed: Cli, tmp_path: Path) -> Iterator[Running]:
    """A directory service of nobody yet, and the office beside it."""
    with serving(tmp_path) as running:
        yield running


@pytest.fixture
def home(service: Running) -> Path:
    return Path("office")


@pytest.fixture
def card(cimfed: Cli, home: Path) -> Path:
    """The card of a city whose steward has a key."""
    assert cimfed("policy", "new-key", "steward.key", "--no-passphrase").code == 0
    steward = load_public_key(Path("steward.pub"))
    make_identity(Path("almaty"), "kz.almaty", Federation("sco"), clock.now(), "127.0.0.1:5001", [steward])
    return Path("almaty/card.json")


def published(home: Path) -> Directory:
    return read_office(home).current()


def signed_policy(cimfed: Cli, version: int = 1, height: str = "{band: 5}", lod: int = 0, *options: str) -> Result:
    Path("p.yaml").write_text(POLICY.format(version=version, height=height, lod=lod))
    return cimfed("policy", "sign", "p.yaml", "--key", "steward.key", "--out", f"p{version}.policy.json", *options)


class TestMember:
    def test_add_lists_a_city_and_shows_its_fingerprint(self, cimfed: Cli, home: Path, card: Path) -> None:
        result = cimfed("member", "add", card, "--home", home, "--yes")
        assert result.code == 0
        assert "fingerprint" in result.out
        assert published(home).address("kz.almaty") == "127.0.0.1:5001"

    def test_add_again_changes_nothing(self, cimfed: Cli, home: Path, card: Path) -> None:
        cimfed("member", "add", card, "--home", home, "--yes")
        before = published(home).version
        assert cimfed("member", "add", card, "--home", home, "--yes").code == 0
        assert published(home).version == before

    def test_other_keys_of_a_listed_name_are_listed_only_knowingly(self, cimfed: Cli, home: Path, card: Path) -> None:
        cimfed("member", "add", card, "--home", home, "--yes")
        before = published(home).version
        steward = load_public_key(Path("steward.pub"))
        new = make_identity(Path("other"), "kz.almaty", Federation("sco"), clock.now(), "127.0.0.1:5001", [steward])
        refused = cimfed("member", "add", "other/card.json", "--home", home, "--yes")
        assert refused.code == 5
        assert parse_card(card.read_bytes()).fingerprint in refused.err
        assert new.fingerprint in refused.out
        assert published(home).version == before
        done = cimfed("member", "add", "other/card.json", "--home", home, "--replace", "--yes")
        assert done.code == 0
        assert "no key that is listed for kz.almaty has signed this card" in done.out
        assert published(home).published.members[CityName("kz.almaty")].keys == new.keys

    def test_a_new_address_with_the_same_keys_is_no_conflict(self, cimfed: Cli, home: Path) -> None:
        now, signer = clock.now(), KeySigner.generate()
        issuer = IssuingKey.make(Federation("sco"), "gw.alliance", now).issuer
        for port in (5000, 5001):
            card = Card(Kind.GATEWAY, "gw.alliance", Federation("sco"), f"gw.org:{port}", (issuer,), (signer.public,))
            Path("card.json").write_bytes(seal_card(card, signer))
            assert cimfed("member", "add", "card.json", "--home", home, "--yes").code == 0
            assert published(home).address("gw.alliance") == f"gw.org:{port}"

    def test_a_fingerprint_that_differs_is_refused(self, cimfed: Cli, home: Path, card: Path) -> None:
        right = parse_card(card.read_bytes()).fingerprint
        wrong = "0" * 32
        assert cimfed("member", "add", card, "--home", home, "--fingerprint", wrong, "--yes").code == 2
        assert published(home).members == {}
        spelled = right.replace(" ", "").upper()
        assert cimfed("member", "add", card, "--home", home, "--fingerprint", spelled, "--yes").code == 0

    @pytest.mark.parametrize(("typed", "listed"), [("y", True), ("n", False), ("", False)])
    def test_at_a_terminal_the_fingerprint_is_asked_for_before_anything_is_published(
        self, cimfed: Cli, home: Path, card: Path, monkeypatch: pytest.MonkeyPatch, typed: str, listed: bool
    ) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stdin", Terminal(f"{typed}\n"))
        result = cimfed("member", "add", card, "--home", home)
        assert parse_card(card.read_bytes()).fingerprint in result.out
        assert "same fingerprint?" in result.err
        assert (result.code == 0, bool(published(home).members)) == (listed, listed)

    def test_add_takes_a_gateway_too(self, cimfed: Cli, home: Path) -> None:
        make_identity(Path("gw"), "gw.alliance", Federation("sco"), clock.now(), "127.0.0.1:5000")
        assert cimfed("member", "add", "gw/card.json", "--home", home, "--yes").code == 0
        assert published(home).gateway("gw.alliance").address == "127.0.0.1:5000"

    def test_a_card_for_another_federation_is_refused(self, cimfed: Cli, home: Path) -> None:
        make_identity(Path("gw"), "gw.alliance", Federation("other"), clock.now(), "127.0.0.1:5000")
        result = cimfed("member", "add", "gw/card.json", "--home", home, "--yes")
        assert (result.code, published(home).version) == (2, 1)

    def test_a_changed_card_is_refused(self, cimfed: Cli, home: Path, card: Path) -> None:
        document = json.loads(card.read_bytes())
        document["payload"] = document["payload"][::-1]
        card.write_text(json.dumps(document))
        result = cimfed("member", "add", card, "--home", home, "--yes")
        assert result.code == 2
        assert str(card) in result.err

    def test_a_partners_card_is_not_a_members(self, cimfed: Cli, home: Path) -> None:
        make_identity(Path("p"), "inst.tsinghua", Federation("sco"), clock.now())
        assert cimfed("member", "add", "p/card.json", "--home", home, "--yes").code == 2


class TestPartner:
    def test_country_and_roles_stay_unless_given(self, cimfed: Cli, home: Path) -> None:
        make_identity(Path("p"), "inst.tsinghua", Federation("sco"), clock.now())
        new = make_identity(Path("q"), "inst.tsinghua", Federation("sco"), clock.now())
        assert cimfed("partner", "add", "p/card.json", "--home", home, "--yes").code == 2  # a new one has a country
        facts = ("--country", "CN", "--role", "researcher")
        assert cimfed("partner", "add", "p/card.json", "--home", home, *facts, "--yes").code == 0
        assert cimfed("partner", "add", "q/card.json", "--home", home, *facts, "--yes").code == 5
        assert cimfed("partner", "add", "q/card.json", "--home", home, "--replace", "--yes").code == 0
        partner = published(home).published.partners[PartnerName("inst.tsinghua")]
        assert (partner.country, partner.roles, [access.key for access in partner.keys]) == (
            "CN",
            ("researcher",),
            list(new.keys),
        )
        assert cimfed("partner", "add", "q/card.json", "--home", home, "--role", "teacher", "--yes").code == 0
        assert published(home).partner("inst.tsinghua").roles == ("teacher",)
        assert cimfed("partner", "add", "q/card.json", "--home", home, "--key-days", "3661", "--yes").code == 2


class TestPolicy:
    def test_a_key_or_a_policy_that_cannot_be_written_leaves_nothing(self, cimfed: Cli, home: Path, card: Path) -> None:
        missing = cimfed("policy", "new-key", "nodir/steward.key", "--no-passphrase")
        assert (missing.code, "there is no folder nodir" in missing.err) == (2, True)
        Path("other.pub").write_text("")
        assert cimfed("policy", "new-key", "other.key", "--no-passphrase").code == 5
        assert not Path("other.key").exists()
        Path("p1.routing.json").write_text("")
        assert signed_policy(cimfed).code == 5
        assert not Path("p1.policy.json").exists()
        Path("p.yaml").write_text(POLICY.format(version=1, height="exact", lod=0))
        sign = ("policy", "sign", "p.yaml", "--key", "steward.key", "--out", "nodir/p.policy.json")
        assert cimfed(*sign).code == 2

    def test_sign_writes_what_the_node_and_the_directory_verify(self, cimfed: Cli, home: Path, card: Path) -> None:
        assert signed_policy(cimfed).code == 0
        steward = load_public_key(Path("steward.pub"))
        verify(from_json(Path("p1.policy.json").read_bytes(), LIMITS.policy), PayloadType.POLICY, [steward])
        files = publication.from_file(Path("p1.routing.json").read_bytes(), "p1.routing.json")
        (entry,) = (content for path, content in files.items() if path.startswith("targets/"))
        verify(from_json(entry, LIMITS.policy), PayloadType.ROUTING, [steward])
        assert b"tsinghua" not in from_json(entry, LIMITS.policy).payload

    def test_publish_puts_the_routing_entry_into_the_directory(
        self, cimfed: Cli, service: Running, home: Path, card: Path
    ) -> None:
        assert cimfed("member", "add", card, "--home", home, "--yes").code == 0
        for number in (1, 2):
            signed_policy(cimfed, number)
            done = cimfed("policy", "publish", f"p{number}.routing.json", "--directory", service.address)
            assert (done.code, done.err) == (0, "")
        entry, _ = published(home).routing("kz.almaty") or (None, None)
        assert entry is not None
        assert (entry.version, entry.collections["building"]) == (2, (76.7, 43.1, 77.1, 43.4))
        assert cimfed("policy", "publish", "p1.routing.json", "--directory", service.address).code == 5

    def test_publish_for_no_member_is_refused(self, cimfed: Cli, service: Running, card: Path) -> None:
        signed_policy(cimfed)
        assert cimfed("policy", "publish", "p1.routing.json", "--directory", service.address).code == 2

    def test_a_policy_that_gives_away_what_it_hides_is_signed_only_knowingly(
        self, cimfed: Cli, home: Path, card: Path
    ) -> None:
        result = signed_policy(cimfed, lod=1)
        assert (result.code, Path("p1.policy.json").exists()) == (2, False)
        assert "fine-geometry" in result.err
        assert signed_policy(cimfed, 1, "{band: 5}", 1, "--accept-findings").code == 0

    def test_a_mistake_is_shown_with_its_line(self, cimfed: Cli, home: Path, card: Path) -> None:
        result = signed_policy(cimfed, height="{rounded: 5}")
        assert result.code == 2
        assert "p.yaml:12:" in result.err

    def test_a_signed_policy_is_not_written_over(self, cimfed: Cli, home: Path, card: Path) -> None:
        signed_policy(cimfed)
        assert signed_policy(cimfed).code == 5

    def test_show_says_what_is_given(self, cimfed: Cli, home: Path, card: Path) -> None:
        signed_policy(cimfed)
        shown = cimfed("policy", "show", "p1.policy.json").out
        for word in ("kz.almaty, version 1", "inst.tsinghua", "height: band(5)"):
            assert word in shown
        assert "untouched" not in shown
        assert cimfed("policy", "show", "p1.routing.json").code == 2

    def test_show_says_where_objects_go_along_untouched(self, cimfed: Cli, home: Path, card: Path) -> None:
        signed_policy(cimfed)
        text = Path("p.yaml").read_text("utf-8").replace("version: 1", "version: 2").split("    collection:")[0]
        Path("p.yaml").write_text(text + "".join(f"    {line}\n" for line in whole()), "utf-8")
        assert cimfed("policy", "sign", "p.yaml", "--key", "steward.key", "--out", "p2.policy.json").code == 0
        assert "as the files had them, where asked for" in cimfed("policy", "show", "p2.policy.json").out


class TestProfile:
    @pytest.fixture
    def new(self, cimfed: Cli, service: Running, home: Path) -> Callable[..., Result]:
        make_identity(Path("gw"), "gw.alliance", Federation("sco"), clock.now(), "127.0.0.1:5000")
        assert cimfed("member", "add", "gw/card.json", "--home", home, "--yes").code == 0

        Path("root.json").write_bytes((home / "directory" / "root.json").read_bytes())

        def run(*options: str, name: str = "sco", federation: str = "sco") -> Result:
            return cimfed(
                *("profile", "new", name, "inst.tsinghua", "--federation", federation),
                *("--root", "root.json", "--directory", service.address),
                *("--gateway", "gw.alliance", *options),
            )

        return run

    def test_a_profile_holds_all_that_a_partner_needs(
        self, cimfed: Cli, home: Path, new: Callable[..., Result]
    ) -> None:
        assert new("--no-passphrase").code == 0
        profile = read_profile("sco")
        assert (profile.name, profile.federation, profile.gateway) == ("inst.tsinghua", "sco", "gw.alliance")
        assert profile.root == (home / "directory" / "root.json").read_bytes()
        assert not profile.encrypted
        added = cimfed(
            "partner", "add", profile.card, "--country", "CN", "--role", "researcher", "--home", home, "--yes"
        )
        assert added.code == 0
        partner = published(home).partner("inst.tsinghua")
        assert (partner.country, partner.roles) == ("CN", ("researcher",))
        assert partner.keys[0].key == load_signing_key(profile.access_key).public
        again = cimfed(
            "partner", "add", profile.card, "--country", "CN", "--role", "researcher", "--home", home, "--yes"
        )
        assert "nothing to change" in again.out

    def test_a_passphrase_comes_from_a_file_or_a_terminal_never_from_silence(self, new: Callable[..., Result]) -> None:
        result = new()
        assert (result.code, Path("profiles/sco").exists()) == (2, False)
        Path("secret").write_text("correct horse\n")
        result = new("--passphrase-file", "secret")
        assert result.code == 0
        assert read_profile("sco").encrypted
        assert "correct horse" not in result.out + result.err
        assert load_signing_key(read_profile("sco").access_key, b"correct horse")

    def test_a_profile_is_not_written_over(self, new: Callable[..., Result]) -> None:
        new("--no-passphrase")
        before = Path("profiles/sco/keys/access.key").read_bytes()
        assert new("--no-passphrase").code == 5
        assert Path("profiles/sco/keys/access.key").read_bytes() == before

    def test_a_directory_of_another_federation_is_refused(self, new: Callable[..., Result]) -> None:
        assert new("--no-passphrase", federation="other").code == 2
        assert not Path("profiles").exists()

    def test_a_directory_that_does_not_follow_from_the_root_is_refused(self, new: Callable[..., Result]) -> None:
        Path("root.json").write_bytes(Board("sco", clock.now()).root)
        assert new("--no-passphrase").code == 2
        assert not Path("profiles").exists()

    def test_a_gateway_that_is_not_listed_is_not_found(self, cimfed: Cli, new: Callable[..., Result]) -> None:
        result = new("--no-passphrase", "--gateway", "gw.aliance")
        assert (result.code, "Did you mean gw.alliance?" in result.err) == (3, True)
        assert not Path("profiles").exists()

    def test_a_directory_service_or_root_that_is_not_there_is_said_to_be_missing(
        self, new: Callable[..., Result]
    ) -> None:
        away = new("--no-passphrase", "--directory", "127.0.0.1:1")
        assert (away.code, "cannot be reached" in away.err) == (7, True)
        missing = new("--no-passphrase", "--root", "none.json")
        assert (missing.code, "does not exist" in missing.err) == (2, True)
        assert not Path("profiles").exists()

    def test_list_shows_profiles_also_broken_ones(self, cimfed: Cli, new: Callable[..., Result]) -> None:
        assert "no profile" in cimfed("profile", "list").err
        new("--no-passphrase")
        Path("profiles/broken").mkdir()
        Path("profiles/broken/profile.toml").write_text("= =")
        shown = cimfed("profile", "list")
        assert shown.code == 0
        for word in ("sco", "inst.tsinghua", "gw.alliance", "broken", "bad_config"):
            assert word in shown.out

    def test_no_private_key_is_ever_printed(self, new: Callable[..., Result]) -> None:
        result = new("--no-passphrase")
        for path in Path("profiles/sco/keys").glob("*.key"):
            for line in path.read_text().splitlines():
                assert line not in result.out + result.err

    @pytest.mark.parametrize("text", ["", "format = 1", 'format = "cimfed/profile/v1"', "= ="])
    def test_a_broken_profile_is_refused_with_its_path(self, cimfed: Cli, text: str) -> None:
        with pytest.raises(NotFound):
            read_profile("sco")
        folder = Path("profiles/sco")
        folder.mkdir(parents=True)
        (folder / "profile.toml").write_text(text)
        with pytest.raises(BadConfig) as caught:
            read_profile("sco")
        assert "profile.toml" in str(caught.value)


def test_the_version_is_shown(cimfed: Cli) -> None:
    assert cimfed("--version").out == f"cimfed {version('cimfed')}\n"


def test_an_unknown_command_is_a_usage_error(cimfed: Cli) -> None:
    assert cimfed("frobnicate").code == 2


SEWER = """\
meaning: a pipe that carries waste water
properties:
  width: {type: decimal, scale: 2, unit: m, masks: [exact, band, "null"], meaning: inner width}
"""


class TestVocabulary:
    SHIPPED = Path(vocabulary.__file__).parent

    def test_show_names_every_collection(self, cimfed: Cli) -> None:
        shown = cimfed("vocabulary", "show")
        assert shown.code == 0
        assert shown.out.startswith(f"version {VOCABULARY.version};")
        for name in VOCABULARY.collections:
            assert name in shown.out

    def test_show_of_a_collection_has_its_own_properties_first(self, cimfed: Cli) -> None:
        shown = cimfed("vocabulary", "show", "observation").out
        places = [shown.index(f" {name} ") for name in ("sensor", "value", "quality", "city", "ext")]
        assert places == sorted(places)
        assert "decimal(6)" in shown

    def test_show_as_json_is_the_vocabulary_for_programs(self, cimfed: Cli) -> None:
        told = json.loads(cimfed("vocabulary", "show", "--json").out)
        assert (told["format"], told["version"]) == ("cimfed/vocabulary/v1", VOCABULARY.version)
        assert list(told["collections"]) == list(VOCABULARY.collections)
        assert told["collections"]["building"]["properties"]["height"] == {
            "type": "decimal",
            "scale": 2,
            "unit": "m",
            "masks": ["exact", "band", "null"],
            "meaning": "height above ground",
        }
        assert list(json.loads(cimfed("vocabulary", "show", "room", "--json").out)["collections"]) == ["room"]

    def test_the_hash_is_that_of_what_is_shown_for_programs(self, cimfed: Cli) -> None:
        told = json.loads(cimfed("vocabulary", "show", "--json").out)
        ordered = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)  # as RFC 8785 has it here
        assert f"SHA-256 {hashlib.sha256(ordered.encode()).hexdigest()}" in cimfed("vocabulary", "show").out

    def test_the_registrar_publishes_it_once_and_members_compare(self, cimfed: Cli, home: Path) -> None:
        compare = "vocabulary", "published", "--home", home
        assert "publishes no vocabulary" in cimfed(*compare).out
        assert cimfed("vocabulary", "publish", "--home", home, "--yes").code == 0
        assert "nothing to change" in cimfed("vocabulary", "publish", "--home", home, "--yes").out
        told = cimfed(*compare)
        assert (told.code, told.out.startswith(f"as published: version {VOCABULARY.version},")) == (0, True)
        assert f"vocabulary: version {VOCABULARY.version}, SHA-256" in cimfed("directory", "show", "--home", home).out
        found = published(home).listing.vocabulary
        assert found is not None
        assert found.sha256.hex() in cimfed("vocabulary", "show").out

    def test_another_vocabulary_is_said_to_be_one(self, cimfed: Cli, service: Running, home: Path) -> None:
        key, directory = load_signing_key(home / "registrar.key"), published(home)
        listing = replace(directory.published, vocabulary=PublishedVocabulary("77", bytes(32)))
        draft = publication.registrar_draft(2, directory.federation, listing, clock.now())
        with ServiceClient(service.address) as client:
            client.publish(publication.sign(draft, key, {REGISTRAR: [key.public]}))
        told = cimfed("vocabulary", "published", "--home", home)
        assert told.code == 5
        assert "version 77" in told.out
        assert f"this release has version {VOCABULARY.version}" in " ".join(told.out.split())

    def test_a_collection_that_is_not_there_is_not_found_and_a_close_one_named(self, cimfed: Cli) -> None:
        result = cimfed("vocabulary", "show", "brige")
        assert result.code == 3
        assert "Did you mean bridge?" in result.err

    def test_what_is_shipped_is_well_formed_and_differs_from_itself_in_nothing(self, cimfed: Cli) -> None:
        assert cimfed("vocabulary", "check", self.SHIPPED).code == 0
        assert cimfed("vocabulary", "diff", self.SHIPPED) == Result(0, f"as in version {VOCABULARY.version}\n", "")
        assert cimfed("vocabulary", "diff", self.SHIPPED / "room.yaml").out == f"as in version {VOCABULARY.version}\n"

    def test_a_new_collection_is_well_formed_and_harms_nothing(self, cimfed: Cli) -> None:
        Path("sewer.yaml").write_text(SEWER)
        assert cimfed("vocabulary", "check", "sewer.yaml").out == "sewer.yaml is well-formed: sewer\n"
        result = cimfed("vocabulary", "diff", ".")
        assert result.code == 0
        assert "old data stay valid\nold policies stay valid\n" in result.out

    def test_a_change_that_old_policies_do_not_survive_ends_with_conflict(self, cimfed: Cli) -> None:
        text = (self.SHIPPED / "facility.yaml").read_text().replace("masks: [exact, band, ", "masks: [exact, ")
        Path("facility.yaml").write_text(text)
        result = cimfed("vocabulary", "diff", "facility.yaml")
        assert result.code == 5
        assert "old data stay valid\nold policies cease to be valid\n" in result.out

    def test_faults_are_told_with_their_places(self, cimfed: Cli) -> None:
        Path("sewer.yaml").write_text(SEWER.replace("scale: 2, ", ""))
        result = cimfed("vocabulary", "check", "sewer.yaml")
        assert (result.code, result.out) == (2, "")
        assert "decimal needs scale (at sewer.yaml:3:10)" in result.err

    @pytest.mark.parametrize("name", ["common.yaml", "empty", "latin.yaml", "none.yaml", "Sewer.yml"])
    def test_what_is_no_document_is_refused(self, cimfed: Cli, name: str) -> None:
        Path("empty").mkdir()
        Path("common.yaml").write_text('version: "3"\n')
        Path("latin.yaml").write_bytes(b"meaning: caf\xe9\n")
        Path("Sewer.yml").write_text(SEWER)
        assert cimfed("vocabulary", "check", name).code == 2

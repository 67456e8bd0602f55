"""Health checks of real services: what an answer must be, and what is said of one that is not."""

import json
import shutil
import subprocess

import pytest

URL = 'url: "http://127.0.0.1:${PORT}/health"\n          status: 200'
FIRST = 'about = {"release": RELEASE.name[:12], "pid": os.getpid()}'


def check(fleet, section):
    """Replace the http check's address and status; `section` is YAML in the flow style."""
    text = (fleet.repo.path / "fairlead.yaml").read_text()
    fleet.repo.write({"fairlead.yaml": text.replace(URL, section).replace("start_period: 3s", "start_period: 500ms")})
    fleet.repo.commit()


def change(fleet, new, old=FIRST):
    fleet.repo.replace("src/server.py", old, new)
    fleet.repo.commit()


def test_an_answer_must_have_its_status_fields_and_release(fleet):
    check(fleet, 'url: "http://127.0.0.1:${PORT}/health"\n'
                 '          status: [201, 200-204]\n'
                 '          json: { status: ok, parts.0.db: up, workers: 4, draining: false }\n'
                 '          release: { json: release }')
    change(fleet, FIRST + '\n    about |= {"parts": [{"db": "up"}], "workers": 4, "draining": False}')
    fleet.deploy().exits(0)
    before = fleet.releases()
    change(fleet, '[{"db": "down"}]', '[{"db": "up"}]')
    fleet.deploy().exits(5).says("HTTP 200 in ", "wanted parts.0.db = 'up' in the JSON, found 'down'")
    change(fleet, '[{"db": "up"}]', '[{"db": "down"}]')
    change(fleet, FIRST.replace("RELEASE.name[:12]", "'0123456789ab'"))
    fleet.deploy().exits(5).says("wanted release ", "in the JSON's release, found '0123456789ab'")
    assert fleet.releases() == before


def test_a_release_may_be_named_by_its_commit_in_a_header(fleet):
    """As a service built by CI does, which knows its commit and not its digest."""
    check(fleet, 'url: "http://127.0.0.1:${PORT}/health"\n          release: { header: X-Commit }')
    old = '        self.send_header("Content-Type"'
    change(fleet, f'        self.send_header("X-Commit", os.environ["COMMIT"])\n{old}', old)
    fleet.repo.replace("fairlead.yaml", "    restart:", '    env: { COMMIT: "${COMMIT}" }\n    restart:')
    commit = fleet.repo.commit()
    host = fleet.host
    host.stop()
    variables = f'variables: {{ PORT: "{host.service_port}", COMMIT: "{commit[:10]}" }}'
    host.config.write_text(host.config.read_text().replace(
        f'variables: {{ PORT: "{host.service_port}" }}', variables))
    host.start()
    fleet.deploy().exits(0)
    change(fleet, "Hello again", old="A small web service")
    fleet.deploy().exits(5).says(f"in the header X-Commit, found '{commit[:10]}'")


class Authority:
    """A CA of the test's own, and certificates by it."""

    def __init__(self, directory):
        self.dir = directory
        directory.mkdir()
        self.file = directory / "ca.pem"
        self.openssl("req", "-x509", "-days", "2", "-subj", "/CN=Test authority", "-out", "ca.pem",
                     "-keyout", "ca.key", *self.KEY)

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def openssl(self, *args):
        subprocess.run(["openssl", *args], cwd=self.dir, check=True, capture_output=True)

    def certify(self, name):
        """A key and certificate for a name, in one file."""
        self.openssl("req", "-subj", f"/CN={name}", "-out", "server.csr", "-keyout", "server.key", *self.KEY)
        (self.dir / "server.ext").write_text(f"subjectAltName=DNS:{name}\n")
        self.openssl("x509", "-req", "-days", "1", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                     "-CAcreateserial", "-extfile", "server.ext", "-out", "server.pem")
        both = self.dir / "both.pem"
        both.write_text((self.dir / "server.key").read_text() + (self.dir / "server.pem").read_text())
        return both


@pytest.fixture
def tls(fleet):
    """Hello as an https service that calls itself shop.test."""
    authority = Authority(fleet.dir / "authority")
    served = authority.certify("shop.test")
    old = "        server.serve_forever("
    change(fleet, f"        import ssl\n        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\n"
                  f"        tls.load_cert_chain({json.dumps(str(served))})\n"
                  f"        server.socket = tls.wrap_socket(server.socket, server_side=True)\n{old}", old)
    fleet.authority = authority
    return fleet


def https(host="shop.test", ca=None):
    section = f'url: "https://{host}:${{PORT}}/health"\n          address: 127.0.0.1'
    return section + (f'\n          ca: "{ca}"' if ca else "")


def test_a_certificate_is_verified_by_the_authorities_named(tls):
    check(tls, https(ca=tls.authority.file))
    tls.deploy().exits(0)


def test_authorities_may_be_a_file_of_the_release(tls):
    shutil.copy(tls.authority.file, tls.repo.path / "config/ca.pem")
    check(tls, https(ca="config/ca.pem"))
    tls.deploy().exits(0)


def test_a_certificate_of_nobody_known_is_refused(tls):
    check(tls, https())
    tls.deploy().exits(5).says("no HTTP answer after", "SSL certificate problem")


def test_a_certificate_of_another_name_is_refused(tls):
    check(tls, https(host="other.test", ca=tls.authority.file))
    tls.deploy().exits(5).says("no HTTP answer after", "other.test")


@pytest.mark.parametrize("path", ["config/none.pem", "config"])
def test_authorities_that_are_not_there_are_found_before_anything_changes(tls, path):
    check(tls, https(ca=path))
    tls.deploy().exits(4).says("health check 1: ca: ", path)
    assert tls.host.release is None

"""Secrets as a platform team would have written them."""

SECRETS = {
    "presage/models-network/release-storage": {"access_key": "network", "secret_key": "s3cr3t-network"},
    "presage/models-databases/release-storage": {"access_key": "databases", "secret_key": "s3cr3t-databases"},
    "presage/pipelines/release-storage": {"access_key": "publisher", "secret_key": "s3cr3t-publisher"},
    "presage/pipelines/release-signing": {"key.pem": "-----BEGIN PRIVATE KEY-----\nnot a real one\n-----END PRIVATE KEY-----\n"},
    "presage/clients/revocations": {"revocations.json": '{"schema": "presage.client-revocations/v1", "certificates": []}'},
    "other/team": {"password": "of no business of ours"},
}


def fill(server) -> None:
    client = server.root()
    for path, secret in SECRETS.items():
        client.secrets.kv.v2.create_or_update_secret(path=path, secret=secret, mount_point="kv")

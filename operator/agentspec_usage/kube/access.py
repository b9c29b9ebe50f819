"""Where the API server is, and our credentials: a kubeconfig that was named, or the pod's account.

The official client reads both, credential plugins and rotating projected tokens among them. It is
never left to find a kubeconfig by itself: the one in a home directory leads to a cluster that
somebody else is working with.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from agentspec_usage.errors import SettingsError
from agentspec_usage.kube.errors import ApiError

__all__ = ["Access", "connect"]


class Access:
    """The API server's address, how its certificate is checked, and credentials that stay fresh."""

    def __init__(self, kubeconfig: Path | None, configuration: Any) -> None:
        self._kubeconfig = kubeconfig
        self._configuration = configuration

    @property
    def server(self) -> str:
        """The base URL, without a slash at its end."""
        return str(self._configuration.host).rstrip("/")

    @property
    def proxy(self) -> str | None:
        """The kubeconfig's ``proxy-url``; proxies of the environment are never used."""
        return self._configuration.proxy or None

    @property
    def server_name(self) -> str | None:
        """The name that the server's certificate bears, where it is not the URL's."""
        return self._configuration.tls_server_name or None

    async def authorization(self) -> str | None:
        """The next request's Authorization header; a projected token is read anew each minute."""
        try:
            header = await self._configuration.get_api_key_with_prefix("BearerToken")
        except (ConfigException, OSError) as error:
            raise ApiError(0, "NoCredentials", f"ServiceAccount token: {error}") from error
        return header.strip() if header else None

    async def renew(self) -> None:
        """Read the credentials again, after the server refused those that we have."""
        try:
            self._configuration = await _load(self._kubeconfig)
        except SettingsError as error:
            raise ApiError(0, "NoCredentials", str(error)) from error

    def ssl_context(self) -> ssl.SSLContext:
        """TLS as the kubeconfig or the account says: its CA, its client certificate."""
        configuration = self._configuration
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
        if not configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


async def connect(kubeconfig: Path | None) -> Access:
    """Access through ``kubeconfig``, or, without one, as the pod's own ServiceAccount.

    Raises SettingsError when there is no such file, or when this is not a pod.
    """
    return Access(kubeconfig, await _load(kubeconfig))


async def _load(kubeconfig: Path | None) -> Any:
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load_incluster_config(configuration)
        else:
            await load_kube_config(
                _file(kubeconfig), client_configuration=configuration, persist_config=False
            )
    except ConfigException as error:
        if kubeconfig is None:
            raise SettingsError(
                f"not inside a Kubernetes pod ({error}): name a kubeconfig file"
            ) from error
        raise SettingsError(f"kubeconfig {kubeconfig}: {error}") from error
    return configuration


def _file(kubeconfig: Path) -> str:
    """The client takes a path that does not exist for an empty kubeconfig."""
    if not kubeconfig.is_file():
        raise SettingsError(f"kubeconfig {kubeconfig}: expected a file")
    return str(kubeconfig)

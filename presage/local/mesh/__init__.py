"""The plane's service mesh: what Istio would tell its Envoys, told to the plane's.

    mesh = read_mesh(objects, not_honoured, state)                       # Kubernetes objects, read strictly; again whenever they change
    files = sidecar(mesh, pod, pods, certificates=…, log=…)              # what the Envoy of a Pod is told; pure, again whenever Pods change
    files = gateway(mesh, server, pods, certificates=…, edge=…, log=…)   # what the Envoy of a Gateway is told
    require_watches(envoys)                                              # can this system run so many?
    write(folder, files)                                                 # for an Envoy that does not run yet
    run(command(), cwd=folder)                                           # an Envoy runs in its folder: all paths in its documents are relative
    await taken(folder, files)                                           # it does what it was told
    await converge(folder, new_files)                                    # bring a running one to something else; no request fails on the way
    await drain(folder, patience)                                        # before a Pod that nobody is sent to any more is stopped

A Pod of the mesh has an outer address, where its Envoy listens on the ports that the manifests write, and an inner one, where its
programs do. Mutual TLS, identities and rules are those of the manifests: PeerAuthentication, AuthorizationPolicy, RequestAuthentication,
Gateway, HTTPRoute, DestinationRule, Service and the EnvoyFilter `gateway-limit`; `presage.local.mesh.kinds` says how each is read.

**Order among Envoys.** Apply to those that are called before those that call: a new Pod's sidecar, then the gateway and other callers;
a Pod goes after all its callers have taken its absence. A port comes to mutual TLS from DISABLE by way of PERMISSIVE, as in Istio: its
Pod and its callers cannot change at one instant. A request longer than five seconds is cut where the listener it came in by changes
(PeerAuthentication, ports, a Gateway's listeners); rules, routes, Pods and certificates change no listener.

**Certificates** are folders of tls.crt, tls.key, ca.crt, crl.pem (`presage.local.mesh.envoy.tls`), re-read by Envoy when they change. Write
each file aside and rename it; a stale or missing revocation list trusts nobody. For a new authority: first put both into ca.crt and crl.pem
everywhere, then issue, then drop the old one. `serials(folder)` tells what is in use.
"""

from presage.local.mesh.envoy.convergence import converge, drain, needs_restart, reopen_logs, serials, taken
from presage.local.mesh.envoy.documents import EnvoyFiles
from presage.local.mesh.envoy.folder import write
from presage.local.mesh.envoy.gateway import gateway
from presage.local.mesh.envoy.program import command, log_path, require_watches
from presage.local.mesh.envoy.sidecar import sidecar
from presage.local.mesh.pods import STATS_PORT, TRUST_DOMAIN, GatewayServer, MeshPod, spiffe_id
from presage.local.mesh.reading import Mesh, read_mesh

__all__ = [
    "STATS_PORT", "TRUST_DOMAIN", "EnvoyFiles", "GatewayServer", "Mesh", "MeshPod", "command", "converge", "drain", "gateway", "log_path", "needs_restart",
    "read_mesh", "reopen_logs", "require_watches", "serials", "sidecar", "spiffe_id", "taken", "write",
]

"""The access log of Apigee hybrid's ingress: its 23 keys and the Envoy command operators behind them.

From the mesh configuration in github.com/apigee/apigee-hybrid-install (``apigee-istio-mesh-config.yaml``).
"""

from __future__ import annotations

__all__ = ["APIGEE_KEYS"]

APIGEE_KEYS = {
    "start_time": "%START_TIME%",
    "remote_address": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "user_agent": "%REQ(USER-AGENT)%",
    "host": "%REQ(:AUTHORITY)%",
    "request": "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%",
    "request_time": "%DURATION%",
    "status": "%RESPONSE_CODE%",
    "status_details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "upstream_address": "%UPSTREAM_HOST%",
    "upstream_response_flags": "%RESPONSE_FLAGS%",
    "upstream_response_time": "%RESPONSE_DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "request_method": "%REQ(:METHOD)%",
    "request_path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "request_protocol": "%PROTOCOL%",
    "tls_protocol": "%DOWNSTREAM_TLS_VERSION%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "sni_host": "%REQUESTED_SERVER_NAME%",
    "apigee_dynamic_data": "%DYNAMIC_METADATA(envoy.lua)%",
}

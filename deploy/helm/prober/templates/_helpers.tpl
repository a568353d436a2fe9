{{- define "prober.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "prober.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "prober.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "prober.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "prober.selector" -}}
app.kubernetes.io/name: {{ include "prober.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "prober.labels" -}}
{{ include "prober.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "prober.metadata" -}}
name: {{ include "prober.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "prober.labels" . | nindent 2 }}
{{- end -}}

{{- define "prober.serviceAccount" -}}
{{- default (ternary (include "prober.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "prober.configuration" -}}
{{- $written := dict "listen" (printf ":%d" (int .Values.port)) "state" "/var/lib/prober" -}}
{{- if .Values.discovery }}{{ $_ := set $written "discovery" .Values.discovery }}{{ end -}}
{{- toYaml (merge $written .Values.config) -}}
{{- end -}}

{{- /* Where the kubernetes sources look that use the pod's own account: {"everywhere": bool, "namespaces": [...]} */ -}}
{{- define "prober.reach" -}}
{{- $reach := dict "everywhere" false "namespaces" list -}}
{{- range .Values.discovery -}}
  {{- if hasKey . "kubernetes" -}}
    {{- $kubernetes := .kubernetes | default dict -}}
    {{- if not $kubernetes.kubeconfig -}}
      {{- if $kubernetes.namespaces -}}
        {{- $_ := set $reach "namespaces" (concat $reach.namespaces $kubernetes.namespaces | uniq) -}}
      {{- else -}}
        {{- $_ := set $reach "everywhere" true -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- toYaml $reach -}}
{{- end -}}

{{- define "prober.rules" -}}
- {apiGroups: [""], resources: [services, pods], verbs: [list, watch]}
- {apiGroups: [networking.k8s.io], resources: [ingresses], verbs: [list, watch]}
- {apiGroups: [gateway.networking.k8s.io], resources: [gateways, httproutes, tlsroutes], verbs: [list, watch]}
- {apiGroups: [networking.istio.io], resources: [gateways], verbs: [list, watch]}
- {apiGroups: [route.openshift.io], resources: [routes], verbs: [list, watch]}
- {apiGroups: [apigee.cloud.google.com], resources: [apigeeroutes], verbs: [list, watch]}
- {apiGroups: [apigee.cloud.google.com], resources: [apigeerouteconfigs, apigeeissues], verbs: [list]}
{{- end -}}

{{- /* Kubelet shows neither a password nor a certificate. */ -}}
{{- define "prober.locked" -}}
{{- $tls := .Values.webConfig.tls_server_config | default dict -}}
{{- if or .Values.webConfig.basic_auth_users (not (has ($tls.client_auth_type | default "NoClientCert") (list "NoClientCert" "RequestClientCert" "VerifyClientCertIfGiven"))) -}}
true
{{- end -}}
{{- end -}}

{{- define "prober.asked" -}}
{{- $root := index . 0 -}}
{{- if include "prober.locked" $root -}}
tcpSocket: {port: http}
{{- else -}}
httpGet: {path: {{ index . 1 }}, port: http{{ if $root.Values.webConfig.tls_server_config }}, scheme: HTTPS{{ end }}}
{{- end -}}
{{- end -}}

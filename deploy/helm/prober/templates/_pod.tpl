{{- define "prober.pod" -}}
{{- $reach := include "prober.reach" . | fromYaml -}}
metadata:
  labels:
    {{- merge (include "prober.selector" . | fromYaml) .Values.podLabels | toYaml | nindent 4 }}
  annotations:
    # A changed configuration is a rollout.
    checksum/config: {{ include "prober.configuration" . | sha256sum }}
    {{- if .Values.webConfig }}
    checksum/web: {{ toYaml .Values.webConfig | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "prober.serviceAccount" . }}
  automountServiceAccountToken: {{ or $reach.everywhere (not (empty $reach.namespaces)) }}
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "prober.selector" . | nindent 8 }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
  - name: prober
    image: {{ if .Values.image.digest }}{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}{{ else }}{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}{{ end }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
    - serve
    - --config
    - /etc/prober/prober.yml
    - --log-format
    - json
    {{- if .Values.sharding.enabled }}
    - --shard
    - auto/{{ int .Values.sharding.shards }}
    {{- end }}
    {{- if .Values.webConfig }}
    - --web.config.file
    - /etc/prober-web/web.yml
    {{- end }}
    {{- range .Values.extraArgs }}
    - {{ . | quote }}
    {{- end }}
    {{- if .Values.sharding.enabled }}
    env:
    # The shard is the number at the end of the pod's name.
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    {{- end }}
    ports:
    - {name: http, containerPort: {{ int .Values.port }}}
    livenessProbe:
      {{- include "prober.asked" (list . "/-/healthy") | nindent 6 }}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      {{- include "prober.asked" (list . "/-/ready") | nindent 6 }}
      periodSeconds: 5
      timeoutSeconds: 5
    resources:
      {{- toYaml .Values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    volumeMounts:
    - {name: config, mountPath: /etc/prober, readOnly: true}
    - {name: state, mountPath: /var/lib/prober}
    - {name: tmp, mountPath: /tmp}
    {{- if .Values.webConfig }}
    - {name: web, mountPath: /etc/prober-web, readOnly: true}
    {{- end }}
    {{- if .Values.existingSecret }}
    - {name: secrets, mountPath: /run/secrets/prober, readOnly: true}
    {{- end }}
  volumes:
  - name: config
    configMap: {name: {{ include "prober.fullname" . }}}
  {{- if not .Values.sharding.enabled }}
  # History survives a restart of the container and ends with the pod.
  - {name: state, emptyDir: {sizeLimit: 512Mi}}
  {{- end }}
  - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
  {{- if .Values.webConfig }}
  - name: web
    secret: {secretName: {{ include "prober.fullname" . }}-web, defaultMode: 0440}
  {{- end }}
  {{- if .Values.existingSecret }}
  - name: secrets
    secret: {secretName: {{ .Values.existingSecret }}, defaultMode: 0440}
  {{- end }}
{{- end -}}

{{/* What everything is called: the release's name, with `enchufe` in it. At most 40 characters, so
that the longest of the endings still fits into a name. */}}
{{- define "enchufe.name" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains "enchufe" .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-enchufe" (.Release.Name | trunc 32 | trimSuffix "-") }}
{{- end -}}
{{- end -}}

{{/* What never changes about a part of this release: pods are found by it.
Takes (list $ "server"). */}}
{{- define "enchufe.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: enchufe
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of a pod: none that another version of the chart would change, or a database would be
started anew for nothing. Takes (list $ "server"). */}}
{{- define "enchufe.podLabels" -}}
{{ include "enchufe.selector" . }}
app.kubernetes.io/part-of: enchufe
{{- with (index . 0).Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* All labels of an object. Takes (list $ "server"). */}}
{{- define "enchufe.labels" -}}
{{- $root := index . 0 -}}
{{ include "enchufe.podLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Name, namespace, labels. Takes (list $ "server" "-ending"). */}}
{{- define "enchufe.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "enchufe.name" $root }}{{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "enchufe.labels" (list $root (index . 1)) | nindent 2 }}
{{- end -}}

{{/* The order in which Argo CD brings things up; to others it means nothing. */}}
{{- define "enchufe.wave" -}}
argocd.argoproj.io/sync-wave: {{ . | quote }}
{{- end -}}

{{/* An image, by digest where there is one. Takes (list image "default tag"). */}}
{{- define "enchufe.image" -}}
{{- $image := index . 0 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default (index . 1) }}
{{- end -}}
{{- end -}}

{{- define "enchufe.pullSecrets" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "enchufe.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "enchufe.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "enchufe.secret" -}}
{{ .Values.secret.existingSecret | default (include "enchufe.name" .) }}
{{- end -}}

{{/* Whether the Secret holds a key for the language model; empty when not. */}}
{{- define "enchufe.hasLlmApiKey" -}}
{{- if .Values.secret.existingSecret -}}
{{- if .Values.secret.hasLlmApiKey }}yes{{ end -}}
{{- else -}}
{{- if .Values.secret.llmApiKey }}yes{{ end -}}
{{- end -}}
{{- end -}}

{{/* Whether one server is certainly all there is; empty when not. */}}
{{- define "enchufe.single" -}}
{{- if not (or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1)) }}yes{{ end -}}
{{- end -}}

{{/* What a pod may do: nothing but run. Takes (list uid). The restricted Pod Security Standard. */}}
{{- define "enchufe.podSecurity" -}}
{{- $uid := index . 0 -}}
runAsNonRoot: true
runAsUser: {{ $uid }}
runAsGroup: {{ $uid }}
fsGroup: {{ $uid }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "enchufe.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* Whether what comes from outside comes encrypted; empty when not. */}}
{{- define "enchufe.tls" -}}
{{- if or .Values.ingress.tlsSecret .Values.ingress.tlsAtBalancer }}yes{{ end -}}
{{- end -}}

{{/* Under which address people and chargers find the service, for links that are printed. */}}
{{- define "enchufe.publicUrl" -}}
{{- if .Values.ingress.enabled -}}
{{ ternary "https" "http" (ne (include "enchufe.tls" .) "") }}://{{ .Values.ingress.host }}
{{- end -}}
{{- end -}}

{{/* Where the server finds its settings, secrets and database: the same for every container of it. */}}
{{- define "enchufe.env" -}}
{{- $secret := include "enchufe.secret" . -}}
- name: ENCHUFE_CONFIG
  value: /etc/enchufe/enchufe.toml
- name: ENCHUFE_DATA_DIR
  value: /data
# Of a name there is one server at a time, and a pod's name is its own.
- name: ENCHUFE_NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: ENCHUFE_ADMIN_TOKEN_FILE
  value: /run/secrets/enchufe/admin-token
- name: ENCHUFE_METRICS_TOKEN_FILE
  value: /run/secrets/enchufe/metrics-token
{{- if include "enchufe.hasLlmApiKey" . }}
- name: ENCHUFE_LLM_API_KEY_FILE
  value: /run/secrets/enchufe/llm-api-key
{{- end }}
{{- include "enchufe.databaseEnv" . }}
{{- if eq .Values.redis.kind "external" }}
- name: ENCHUFE_REDIS_URL_FILE
  value: /run/secrets/enchufe/redis-url
{{- else if eq .Values.redis.kind "bundled" }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: redis-password
- name: ENCHUFE_REDIS_URL
  value: redis://:$(REDIS_PASSWORD)@{{ include "enchufe.name" . }}-redis:6379
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An address with a password is a secret as a whole. Those of the bundled stores, which are for
trials, are put together here out of the password that both sides are given. */}}
{{- define "enchufe.databaseEnv" -}}
{{- $secret := include "enchufe.secret" . -}}
{{- if eq .Values.database.kind "external" }}
- name: ENCHUFE_DATABASE_URL_FILE
  value: /run/secrets/enchufe/database-url
{{- else if eq .Values.database.kind "bundled" }}
- name: POSTGRES_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: postgres-password
- name: ENCHUFE_DATABASE_URL
  value: postgres://enchufe:$(POSTGRES_PASSWORD)@{{ include "enchufe.name" . }}-postgresql:5432/enchufe
{{- end }}
{{- end -}}

{{/* The chart's own settings, then those of `config`. */}}
{{- define "enchufe.toml" -}}
shutdown_timeout = "{{ .Values.shutdown.timeoutSeconds }}s"
{{- with include "enchufe.publicUrl" . }}
{{- if not $.Values.config.public_url }}
public_url = {{ . | quote }}
{{- end }}
{{- end }}
{{- range $key, $value := .Values.config }}
{{- if kindIs "string" $value }}
{{ $key }} = {{ $value | quote }}
{{- else if kindIs "float64" $value }}
{{- /* A large whole number would be written with an exponent. */}}
{{ $key }} = {{ int64 $value }}
{{- else }}
{{ $key }} = {{ $value }}
{{- end }}
{{- end }}
{{- end -}}

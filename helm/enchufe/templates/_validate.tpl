{{/* What the schema cannot say: values that fit by themselves and not together. */}}
{{- define "enchufe.validate" -}}
{{- $several := not (include "enchufe.single" .) -}}
{{- if and $several (eq .Values.database.kind "sqlite") -}}
{{- fail "An SQLite file has one server. For more (replicaCount, autoscaling.enabled), set database.kind to external or bundled, and redis.kind too." -}}
{{- end -}}
{{- if and $several (eq .Values.redis.kind "none") -}}
{{- fail "Several servers (replicaCount, autoscaling.enabled) need Redis to find each other's chargers: set redis.kind to external or bundled." -}}
{{- end -}}
{{- if and (eq .Values.database.kind "external") (not .Values.secret.existingSecret) (not .Values.database.url) -}}
{{- fail "database.kind is external: give database.url, or name a Secret with the key database-url in secret.existingSecret." -}}
{{- end -}}
{{- if and (eq .Values.redis.kind "external") (not .Values.secret.existingSecret) (not .Values.redis.url) -}}
{{- fail "redis.kind is external: give redis.url, or name a Secret with the key redis-url in secret.existingSecret." -}}
{{- end -}}
{{- if .Values.secret.existingSecret -}}
{{- range $name, $value := dict "secret.adminToken" .Values.secret.adminToken "secret.metricsToken" .Values.secret.metricsToken "secret.llmApiKey" .Values.secret.llmApiKey "database.url" .Values.database.url "redis.url" .Values.redis.url "database.bundled.password" .Values.database.bundled.password "redis.bundled.password" .Values.redis.bundled.password -}}
{{- if $value -}}
{{- fail (printf "%s is given, and secret.existingSecret too: put it into that Secret, or leave the Secret to the chart." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.migrationJob.enabled -}}
{{- if ne .Values.database.kind "external" -}}
{{- fail "migrationJob runs before anything else is there, so it needs database.kind external. The servers bring the tables up to date by themselves: switch it off." -}}
{{- end -}}
{{- if not .Values.secret.existingSecret -}}
{{- fail "migrationJob runs before the chart's Secret is there: make the Secret yourself and name it in secret.existingSecret." -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas." -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not (or .Values.autoscaling.cpuPercent .Values.autoscaling.memoryPercent .Values.autoscaling.custom.enabled)) -}}
{{- fail "autoscaling is on and looks at nothing: give cpuPercent, memoryPercent or custom." -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress is on: give ingress.host, the name people use, such as charge.example.org." -}}
{{- end -}}
{{- if and .Values.config.llm_model (not .Values.config.llm_base_url) -}}
{{- fail "config.llm_model needs config.llm_base_url, such as https://api.openai.com/v1." -}}
{{- end -}}
{{- end -}}

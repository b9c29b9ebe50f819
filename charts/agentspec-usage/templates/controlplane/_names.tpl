{{/* Names, labels and checks of the control plane; what it shares with the operator is in ../_names.tpl. */}}
{{- define "agentspec-usage.controlPlane.fullname" -}}
{{- printf "%s-controlplane" (include "agentspec-usage.fullname" .) -}}
{{- end -}}

{{- define "agentspec-usage.controlPlane.selectorLabels" -}}
app.kubernetes.io/name: {{ include "agentspec-usage.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controlplane
{{- end -}}

{{- define "agentspec-usage.controlPlane.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "agentspec-usage.controlPlane.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "agentspec-usage.controlPlane.adminKeySecret" -}}
{{- default (printf "%s-admin" (include "agentspec-usage.controlPlane.fullname" .)) .Values.controlPlane.adminKeySecret -}}
{{- end -}}

{{- define "agentspec-usage.controlPlane.signingKeySecret" -}}
{{- default (printf "%s-signing" (include "agentspec-usage.controlPlane.fullname" .)) .Values.controlPlane.signingKeySecret -}}
{{- end -}}

{{- define "agentspec-usage.controlPlane.claim" -}}
{{- default (include "agentspec-usage.controlPlane.fullname" .) .Values.controlPlane.persistence.existingClaim -}}
{{- end -}}

{{- define "agentspec-usage.controlPlane.url" -}}
{{- printf "http://%s.%s.svc:%d" (include "agentspec-usage.controlPlane.fullname" .) .Release.Namespace (int .Values.controlPlane.port) -}}
{{- end -}}

{{/*
What a Secret of the cluster holds under a key, as base64; "" where there is none. This is how a key is made
once: an upgrade, and an install after an uninstall, find what the first install made. Without a cluster
(`helm template`) nothing is ever found.
*/}}
{{- define "agentspec-usage.controlPlane.held" -}}
{{- $secret := lookup "v1" "Secret" .namespace .name -}}
{{- get (dig "data" dict $secret) .key -}}
{{- end -}}

{{/* What the schema cannot say, because it compares two values. */}}
{{- define "agentspec-usage.controlPlane.checkValues" -}}
{{- $settings := .Values.controlPlane -}}
{{- with $settings.persistence -}}
{{- if and .ephemeral .existingClaim -}}
{{- fail (printf "controlPlane.persistence.ephemeral is true and controlPlane.persistence.existingClaim is %s: the database cannot be in both" .existingClaim) -}}
{{- end -}}
{{- end -}}
{{- if lt (float64 $settings.requestBurst) (float64 $settings.requestRate) -}}
{{- fail (printf "controlPlane.requestBurst is %v, below controlPlane.requestRate, which is %v: the rate could never be reached" $settings.requestBurst $settings.requestRate) -}}
{{- end -}}
{{- end -}}

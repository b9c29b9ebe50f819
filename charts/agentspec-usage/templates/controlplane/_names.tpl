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

{{/* Whether the pods have a disk of their own, with a SQLite database on it. */}}
{{- define "agentspec-usage.controlPlane.onDisk" -}}
{{- if not .Values.controlPlane.database.urlSecret -}}
yes
{{- end -}}
{{- end -}}

{{/* Whether this release's operator shows its ServiceAccount's token, which the API server reviews. */}}
{{- define "agentspec-usage.controlPlane.reviewsTokens" -}}
{{- if not .Values.operator.controlPlane.keySecret -}}
yes
{{- end -}}
{{- end -}}

{{/* Whether the API server is asked for anything; empty for no. */}}
{{- define "agentspec-usage.controlPlane.usesCluster" -}}
{{- if or .Values.controlPlane.ledgerConfigMap .Values.controlPlane.remoteAgents.namespace (include "agentspec-usage.controlPlane.reviewsTokens" .) -}}
yes
{{- end -}}
{{- end -}}

{{/* Roles outside the release's namespace: two releases of one name in two namespaces must not meet. */}}
{{- define "agentspec-usage.controlPlane.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "agentspec-usage.controlPlane.fullname" .) -}}
{{- end -}}

{{/*
Whose the namespace of remote agents is: "ours" where there is none or this release made it. One that was
there before stays whose it is; leaving ours out of an upgrade deletes nothing (helm.sh/resource-policy).
*/}}
{{- define "agentspec-usage.controlPlane.remoteNamespaceOwner" -}}
{{- $found := lookup "v1" "Namespace" "" .Values.controlPlane.remoteAgents.namespace -}}
{{- $annotations := dig "metadata" "annotations" dict $found -}}
{{- $release := get $annotations "meta.helm.sh/release-name" -}}
{{- $namespace := get $annotations "meta.helm.sh/release-namespace" -}}
{{- if or (not $found) (and (eq $release .Release.Name) (eq $namespace .Release.Namespace)) -}}
ours
{{- else -}}
somebody else
{{- end -}}
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
{{- if and (gt (int $settings.replicas) 1) (not $settings.database.urlSecret) -}}
{{- fail (printf "controlPlane.replicas is %v without controlPlane.database.urlSecret: SQLite has one writer" $settings.replicas) -}}
{{- end -}}
{{- if lt (float64 $settings.requestBurst) (float64 $settings.requestRate) -}}
{{- fail (printf "controlPlane.requestBurst is %v, below controlPlane.requestRate, which is %v: the rate could never be reached" $settings.requestBurst $settings.requestRate) -}}
{{- end -}}
{{- end -}}

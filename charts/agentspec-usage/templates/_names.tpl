{{/* Names and labels. "fullname" is the release's name, with the chart's name unless it is in there. */}}
{{- define "agentspec-usage.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "agentspec-usage.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "agentspec-usage.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A name for objects outside of any namespace: two releases of one name in two namespaces must not meet. */}}
{{- define "agentspec-usage.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "agentspec-usage.fullname" .) -}}
{{- end -}}

{{- define "agentspec-usage.leaseName" -}}
{{- printf "%s-operator" (include "agentspec-usage.fullname" .) -}}
{{- end -}}

{{- define "agentspec-usage.sealSecret" -}}
{{- default (printf "%s-seal" (include "agentspec-usage.fullname" .)) .Values.seal.keySecret -}}
{{- end -}}

{{- define "agentspec-usage.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "agentspec-usage.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "agentspec-usage.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The control plane that the operator hands its readings to; empty for none. */}}
{{- define "agentspec-usage.chargedBy" -}}
{{- if .Values.operator.controlPlane.url -}}
{{- .Values.operator.controlPlane.url -}}
{{- else if .Values.controlPlane.enabled -}}
{{- include "agentspec-usage.controlPlane.url" . -}}
{{- end -}}
{{- end -}}

{{- define "agentspec-usage.selectorLabels" -}}
app.kubernetes.io/name: {{ include "agentspec-usage.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "agentspec-usage.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "agentspec-usage.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The restricted Pod Security profile and a read-only root; not a value, so that nobody weakens it. */}}
{{- define "agentspec-usage.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "agentspec-usage.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What the schema cannot say, because it compares two values. */}}
{{- define "agentspec-usage.checkValues" -}}
{{- $all := int .Values.operator.scrapeConcurrency -}}
{{- $one := int .Values.operator.namespaceConcurrency -}}
{{- if gt $one $all -}}
{{- fail (printf "operator.namespaceConcurrency is %d and exceeds operator.scrapeConcurrency, which is %d: one namespace could take all of it" $one $all) -}}
{{- end -}}
{{- end -}}

{{/* Where the API server may be, for a NetworkPolicy: anywhere but at link-local addresses (cloud metadata). */}}
{{- define "agentspec-usage.apiServerPeers" -}}
{{- range .Values.networkPolicy.apiServerCIDRs -}}
- ipBlock:
    cidr: {{ . }}
{{ else -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except: [169.254.0.0/16]
- ipBlock:
    cidr: ::/0
    except: [fe80::/10]
{{- end -}}
{{- end -}}

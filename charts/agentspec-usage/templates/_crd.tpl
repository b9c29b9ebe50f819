{{/*
Whose the definition of AgentObservation is: "ours" where there is none or this release made it, else the
name of whoever did. One that was applied by kubectl since stays with kubectl, also where helm made it
first: rendering it here would be a field conflict, and leaving it out deletes nothing
(helm.sh/resource-policy: keep). kubectl leaves an annotation, or with --server-side its name as manager.
*/}}
{{- define "agentspec-usage.crdOwner" -}}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" "agentobservations.agentspec.io" -}}
{{- $annotations := dig "metadata" "annotations" dict $crd -}}
{{- $release := get $annotations "meta.helm.sh/release-name" -}}
{{- $namespace := get $annotations "meta.helm.sh/release-namespace" -}}
{{- $applied := hasKey $annotations "kubectl.kubernetes.io/last-applied-configuration" -}}
{{- range dig "metadata" "managedFields" list $crd -}}
{{- if and (eq .manager "kubectl") (eq .operation "Apply") -}}
{{- $applied = true -}}
{{- end -}}
{{- end -}}
{{- if not $crd -}}
ours
{{- else if $applied -}}
kubectl apply
{{- else if and (eq $release .Release.Name) (eq $namespace .Release.Namespace) -}}
ours
{{- else if $release -}}
{{- printf "release %s in namespace %s" $release $namespace -}}
{{- else -}}
somebody else
{{- end -}}
{{- end -}}

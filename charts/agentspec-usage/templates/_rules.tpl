{{/*
What the operator may do where it watches, and nothing more. It reads objects, pods, what an agentRef
may name, and a namespace's label that says who pays; it writes nothing but the status of
AgentObservations.
*/}}
{{- define "agentspec-usage.rules" -}}
- apiGroups: [agentspec.io]
  resources: [agentobservations]
  verbs: [get, list, watch]
- apiGroups: [agentspec.io]
  resources: [agentobservations/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [services, namespaces]
  verbs: [get]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets, replicasets]
  verbs: [get]
{{- end -}}

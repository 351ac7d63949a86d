-- Health of Vault Secrets Operator's kinds. It writes Ready anew at every look; SecretSynced stays from when a Secret was last written, so Ready
-- alone is believed, and only where it is about what Git says now. The reason of a failure stands in another condition.
local ready, reason
for _, condition in ipairs(obj.status ~= nil and obj.status.conditions or {}) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.status == "False" and condition.type ~= "Healthy" then
    reason = condition.message
  end
end
if ready == nil then
  return {status = "Progressing", message = "The operator has not looked at it yet."}
end
if ready.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "The operator has not looked at this generation yet."}
end
if ready.status == "True" then
  return {status = "Healthy", message = ready.message}
end
return {status = "Degraded", message = reason or ready.message}

// The deployment's keys. Each role is on one key, so that the app cannot open what it only seals.
param name string
param keyName string
param location string
param tags object
@allowed(['standard', 'premium'])
param skuName string
param principalId string
param readsSecrets bool
param isolated bool

var keyVaultCryptoServiceEncryptionUser = 'e147488a-f6f5-4113-8e2d-b22465e65bf6'
var keyVaultReader = '21090545-7ca7-4776-b22c-e363652d74d2'
var keyVaultCryptoUser = '12338af0-0e69-4776-bea7-57ae8d297424'
var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var rsa = skuName == 'premium' ? 'RSA-HSM' : 'RSA'
var ec = skuName == 'premium' ? 'EC-HSM' : 'EC'

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: skuName
    }
    enableRbacAuthorization: true
    enablePurgeProtection: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    publicNetworkAccess: isolated ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: isolated ? 'Deny' : 'Allow'
    }
  }
}

// Wraps the keys of every vault (shared/vault/azure_keystore.py).
resource wrapping 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  parent: vault
  name: keyName
  properties: {
    kty: rsa
    keySize: 3072
    keyOps: ['wrapKey', 'unwrapKey']
  }
}

// Seals recovery wraps (V7): the app sees the public half only; opening one takes a person with a role.
resource sealed 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  parent: vault
  name: '${keyName}-sealed-recovery'
  properties: {
    kty: rsa
    keySize: 3072
    keyOps: ['wrapKey', 'unwrapKey']
  }
}

// Signs the checkpoints of the audit trail (shared/audit/azure_signing.py).
resource signing 'Microsoft.KeyVault/vaults/keys@2023-07-01' = {
  parent: vault
  name: '${keyName}-signing'
  properties: {
    kty: ec
    curveName: 'P-256'
    keyOps: ['sign', 'verify']
  }
}

resource unwraps 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(wrapping.id, principalId, keyVaultCryptoServiceEncryptionUser)
  scope: wrapping
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultCryptoServiceEncryptionUser)
  }
}

resource readsSealed 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(sealed.id, principalId, keyVaultReader)
  scope: sealed
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultReader)
  }
}

resource signs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(signing.id, principalId, keyVaultCryptoUser)
  scope: signing
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultCryptoUser)
  }
}

// Settings that are secrets are references to this vault, resolved with the app's identity.
resource reads 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (readsSecrets) {
  name: guid(vault.id, principalId, keyVaultSecretsUser)
  scope: vault
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)
  }
}

output id string = vault.id
// The URI ends with a slash.
output keyStore string = '${vault.properties.vaultUri}keys/${keyName}'
output secretsUrl string = '${vault.properties.vaultUri}secrets'

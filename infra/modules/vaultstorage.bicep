// The vaults of one region. Data of a customer never leaves its region's account (BKP-25).
param name string
param location string
param tags object
param principalId string
param keeperRoleId string
param locked bool
param zoneRedundant bool
param isolated bool

var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
// For links to exports: signs with a key of Entra's that ends by itself (shared/kit/links.py).
var storageBlobDelegator = 'db58b8e5-c6ad-4a2a-8342-4190687cbf4a'
var roles = [storageBlobDataContributor, storageBlobDelegator]

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
  }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isolated ? 'Disabled' : 'Enabled'
    // On the account, because the app makes containers itself and a container cannot get it later.
    // No default policy: the app locks each version when its snapshot is sealed (docs/vault-format.md 13).
    immutableStorageWithVersioning: locked ? {
      enabled: true
    } : null
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: locked
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

// Exports are copies with an end. No rule may name a vault: only the app knows what is still needed.
resource cleaning 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = if (locked) {
  parent: account
  name: 'default'
  dependsOn: [blobs]
  properties: {
    policy: {
      rules: [
        {
          name: 'exports'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['exports/']
            }
            actions: {
              version: {
                delete: {
                  daysAfterCreationGreaterThan: 1
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource grants 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in roles: {
  name: guid(account.id, principalId, role)
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource keeps 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (locked) {
  name: guid(account.id, principalId, 'keeper')
  scope: account
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: keeperRoleId
  }
}

output id string = account.id
output blobs string = account.properties.primaryEndpoints.blob

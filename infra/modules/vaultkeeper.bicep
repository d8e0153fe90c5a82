// What a contributor on blobs lacks to keep a vault: locking a version, and deleting one whose lock has ended.
param environmentName string

resource keeper 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'holdfast-vault-keeper')
  properties: {
    roleName: 'Holdfast vault keeper (${environmentName})'
    description: 'Locks versions of blobs and deletes versions that are not locked.'
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/deleteBlobVersion/action'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/immutableStorage/runAsSuperUser/action'
        ]
        notDataActions: []
      }
    ]
  }
}

output roleId string = keeper.id

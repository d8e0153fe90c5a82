// One deployment of Holdfast: everything in Azure but the app registrations (docs/deploying.md).
// az deployment sub create --location <region> --template-file infra/main.bicep --parameters <file>
targetScope = 'subscription'

@description('Short name of this deployment: letters and digits, part of every other name.')
@minLength(2)
@maxLength(12)
param environmentName string

@description('Region of the app, its tables and its keys.')
param location string

@description('Regions a customer\'s vault may be placed in (ONB-36); one storage account each.')
@minLength(1)
param regions array

@description('Version-level immutability on the vault accounts. It cannot be switched on later, nor off.')
param lockVaults bool = true

@description('Client id of the Partner API registration: the audience of partner tokens.')
param apiClientId string

@description('Client id of the registration that reads customers\' Microsoft 365.')
param readerClientId string

@description('Client id of the registration that writes restores.')
param restorerClientId string

@description('Client id of the public client of the device-code sign-in.')
param onboardingClientId string

@description('How callers reach the app, without a slash at the end; empty: the app\'s own address.')
param publicUrl string = ''

@description('Object id of the person or group that prepares storage and registers partners; empty: nobody.')
param operatorObjectId string = ''

@description('Tenant of the publisher\'s marketplace account; empty: Microsoft\'s marketplace is not used.')
param publisherTenantId string = ''

@description('Client id of the app named in the marketplace offer.')
param marketplaceClientId string = ''

@description('True once the secrets cloudblue-key and cloudblue-hook-secret are in the key vault.')
param cloudBlue bool = false

@description('Template that approvals at CloudBlue Connect name.')
param cloudBlueTemplate string = 'TL-000-000-000'

@description('True once the secret cursor-key is in the key vault; false: the app keeps one in its tables.')
param cursorKeySecret bool = false

@description('Requests per minute of one client of a partner.')
@minValue(1)
param rateQuota int = 1200

@description('Users and roles need User Management and Site Settings; false: the first alone.')
param usersNeedSiteSettings bool = true

@description('Months whose audit lines are kept, beside the current one.')
@minValue(3)
param auditMonths int = 24
@description('Prices costs are estimated by, as TOML like shared/billing/cost.toml (loadTextContent); empty: that one.')
param costTable string = ''

@description('Days a signed checkpoint of the audit trail cannot be changed.')
@minValue(1)
param checkpointDays int = 2557

@description('True once an operator has locked that period: a locked policy cannot be written again.')
param checkpointsLocked bool = false

@description('Premium keeps the keys in a hardware security module.')
@allowed(['standard', 'premium'])
param keyVaultSku string = 'standard'

@description('Orchestrations in a Durable Task Scheduler; false: in the host storage account.')
param durableTaskScheduler bool = false

@description('Addresses that may reach the scheduler; an empty list refuses everybody.')
param schedulerIpAllowlist array = ['0.0.0.0/0']

@description('Instances and zone-redundant storage in several zones; not every region has them.')
param zoneRedundant bool = true

@description('Instances kept warm for HTTP; at least two are kept where zones are used.')
param httpAlwaysReady int = 1

@description('Most instances of the app.')
param maximumInstanceCount int = 40

@description('Storage and keys reachable from the app\'s network only; calls leave from one fixed address.')
param networkIsolation bool = false

@description('Who is told of alarms and of the budget; empty: no alerts.')
param alertEmail string = ''

@description('Budget of the resource group for a month, in the currency of the subscription; 0: none.')
param monthlyBudget int = 0

@description('First day of the budget\'s first month, 2026-12-01; cannot be changed afterwards.')
param budgetStart string = ''

var suffix = uniqueString(subscription().id, environmentName)
var hostAccount = 'hfhost${suffix}'
var platformAccount = 'hfdata${suffix}'
var vaultAccounts = [for region in regions: 'hfv${uniqueString(subscription().id, environmentName, region)}']
var keyVaultName = 'hf-kv-${suffix}'
var keyName = 'holdfast-${environmentName}'
var blobSuffix = 'blob.${environment().suffixes.storage}'
var regionPairs = [for (region, i) in regions: '"${region}":"https://${vaultAccounts[i]}.${blobSuffix}"']
var hostKinds = networkIsolation ? ['blob', 'queue', 'table'] : []
var platformKinds = networkIsolation ? ['blob', 'table'] : []
var isolatedRegions = networkIsolation ? regions : []
var tags = {
  product: 'holdfast'
  environment: environmentName
}

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-holdfast-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-holdfast-${environmentName}'
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    name: 'holdfast-${environmentName}'
    location: location
    tags: tags
    principalId: identity.outputs.principalId
  }
}

module network 'modules/network.bicep' = if (networkIsolation) {
  name: 'network'
  scope: group
  params: {
    name: 'holdfast-${environmentName}'
    location: location
    tags: tags
  }
}

module hostStorage 'modules/hoststorage.bicep' = {
  name: 'hoststorage'
  scope: group
  params: {
    name: hostAccount
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    zoneRedundant: zoneRedundant
    isolated: networkIsolation
  }
}

module platformStorage 'modules/platformstorage.bicep' = {
  name: 'platformstorage'
  scope: group
  params: {
    name: platformAccount
    location: location
    tags: tags
    principalId: identity.outputs.principalId
    operatorObjectId: operatorObjectId
    checkpointDays: checkpointDays
    checkpointsLocked: checkpointsLocked
    zoneRedundant: zoneRedundant
    isolated: networkIsolation
  }
}

module vaultKeeper 'modules/vaultkeeper.bicep' = {
  name: 'vaultkeeper'
  scope: group
  params: {
    environmentName: environmentName
  }
}

module vaultStorage 'modules/vaultstorage.bicep' = [for (region, i) in regions: {
  name: 'vaultstorage-${region}'
  scope: group
  params: {
    name: vaultAccounts[i]
    location: region
    tags: tags
    principalId: identity.outputs.principalId
    keeperRoleId: vaultKeeper.outputs.roleId
    locked: lockVaults
    zoneRedundant: zoneRedundant
    isolated: networkIsolation
  }
}]

module keyVault 'modules/keyvault.bicep' = {
  name: 'keyvault'
  scope: group
  params: {
    name: keyVaultName
    keyName: keyName
    location: location
    tags: tags
    skuName: keyVaultSku
    principalId: identity.outputs.principalId
    readsSecrets: cloudBlue || cursorKeySecret
    isolated: networkIsolation
  }
}

module hostEndpoints 'modules/endpoint.bicep' = [for kind in hostKinds: {
  name: 'endpoint-host-${kind}'
  scope: group
  params: {
    name: 'pe-${hostAccount}-${kind}'
    location: location
    tags: tags
    subnetId: networkIsolation ? network.outputs.endpointSubnetId : ''
    targetId: hostStorage.outputs.id
    kind: kind
    zoneId: networkIsolation ? network.outputs.zoneIds[kind] : ''
  }
}]

module platformEndpoints 'modules/endpoint.bicep' = [for kind in platformKinds: {
  name: 'endpoint-platform-${kind}'
  scope: group
  params: {
    name: 'pe-${platformAccount}-${kind}'
    location: location
    tags: tags
    subnetId: networkIsolation ? network.outputs.endpointSubnetId : ''
    targetId: platformStorage.outputs.id
    kind: kind
    zoneId: networkIsolation ? network.outputs.zoneIds[kind] : ''
  }
}]

module vaultEndpoints 'modules/endpoint.bicep' = [for (region, i) in isolatedRegions: {
  name: 'endpoint-vault-${region}'
  scope: group
  params: {
    name: 'pe-${vaultAccounts[i]}-blob'
    location: location
    tags: tags
    subnetId: networkIsolation ? network.outputs.endpointSubnetId : ''
    targetId: vaultStorage[i].outputs.id
    kind: 'blob'
    zoneId: networkIsolation ? network.outputs.zoneIds.blob : ''
  }
}]

module keyEndpoint 'modules/endpoint.bicep' = if (networkIsolation) {
  name: 'endpoint-keys'
  scope: group
  params: {
    name: 'pe-${keyVaultName}'
    location: location
    tags: tags
    subnetId: networkIsolation ? network.outputs.endpointSubnetId : ''
    targetId: keyVault.outputs.id
    kind: 'vault'
    zoneId: networkIsolation ? network.outputs.zoneIds.vault : ''
  }
}

module scheduler 'modules/scheduler.bicep' = if (durableTaskScheduler) {
  name: 'scheduler'
  scope: group
  params: {
    name: 'dts-holdfast-${environmentName}'
    hubName: 'holdfast'
    location: location
    tags: tags
    ipAllowlist: schedulerIpAllowlist
    principalId: identity.outputs.principalId
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    name: 'func-holdfast-${suffix}'
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    insightsConnection: monitoring.outputs.connection
    packageContainer: hostStorage.outputs.packageContainer
    hostBlobs: hostStorage.outputs.blobs
    hostQueues: hostStorage.outputs.queues
    hostTables: hostStorage.outputs.tables
    blobsUrl: platformStorage.outputs.blobs
    tablesUrl: platformStorage.outputs.tables
    keyStore: keyVault.outputs.keyStore
    secretsUrl: keyVault.outputs.secretsUrl
    regions: regions
    regionStorage: '{${join(regionPairs, ',')}}'
    lockMode: lockVaults ? 'full' : 'none'
    apiClientId: apiClientId
    readerClientId: readerClientId
    restorerClientId: restorerClientId
    onboardingClientId: onboardingClientId
    publicUrl: publicUrl
    publisherTenantId: publisherTenantId
    marketplaceClientId: marketplaceClientId
    cloudBlue: cloudBlue
    cloudBlueTemplate: cloudBlueTemplate
    cursorKeySecret: cursorKeySecret
    rateQuota: rateQuota
    usersNeedSiteSettings: usersNeedSiteSettings
    auditMonths: auditMonths
    costTable: costTable
    taskHub: durableTaskScheduler ? 'holdfast' : 'Holdfast${environmentName}'
    schedulerEndpoint: durableTaskScheduler ? scheduler.outputs.endpoint : ''
    zoneRedundant: zoneRedundant
    httpAlwaysReady: httpAlwaysReady
    maximumInstanceCount: maximumInstanceCount
    subnetId: networkIsolation ? network.outputs.appSubnetId : ''
  }
}

module alerts 'modules/alerts.bicep' = if (alertEmail != '') {
  name: 'alerts'
  scope: group
  params: {
    name: 'holdfast-${environmentName}'
    location: location
    tags: tags
    email: alertEmail
    appId: app.outputs.id
    workspaceId: monitoring.outputs.workspaceId
    monthlyBudget: monthlyBudget
    budgetStart: budgetStart
  }
}

output resourceGroup string = group.name
output appName string = app.outputs.name
output publicUrl string = app.outputs.publicUrl
output identityClientId string = identity.outputs.clientId
@description('The subject of the federated credentials on the app registrations.')
output identityPrincipalId string = identity.outputs.principalId
output keyVaultName string = keyVaultName
output blobsUrl string = platformStorage.outputs.blobs
output tablesUrl string = platformStorage.outputs.tables

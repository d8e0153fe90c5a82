// The function app on Flex Consumption, and every setting it gets. tests/house/test_infra.py compares them
// with shared/kit/config.py: a setting is given here, or a line here says why not:
// HOLDFAST_STORAGE_CONNECTION is left out: accounts have no keys; the two addresses and the identity are used
// HOLDFAST_CLIENT_CREDENTIAL is left out: the managed identity vouches for the registrations, no certificate
// HOLDFAST_AUTHORITY is left out: the default is Microsoft's public cloud, the only one tried
// HOLDFAST_GRAPH is left out: the same
// HOLDFAST_MARKETPLACE is left out: the same
// HOLDFAST_MARKETPLACE_AUTHORITY is left out: empty means the same sign-in
// HOLDFAST_CLOUDBLUE is left out: the default is the public service
// HOLDFAST_CONSENT_POLL_SECONDS is left out: the default is measured on Microsoft's side (M40)
// HOLDFAST_CONSENT_PATIENCE_SECONDS is left out: the same
param name string
param location string
param tags object
param identityId string
param identityClientId string
param insightsConnection string
param packageContainer string
param hostBlobs string
param hostQueues string
param hostTables string
param blobsUrl string
param tablesUrl string
param keyStore string
param secretsUrl string
param regions array
param regionStorage string
@allowed(['none', 'full'])
param lockMode string
param apiClientId string
param readerClientId string
param restorerClientId string
param onboardingClientId string
param publicUrl string
param publisherTenantId string
param marketplaceClientId string
param cloudBlue bool
param cloudBlueTemplate string
param cursorKeySecret bool
param rateQuota int
param usersNeedSiteSettings bool
param auditMonths int
param costTable string
param taskHub string
param schedulerEndpoint string
param zoneRedundant bool
param httpAlwaysReady int
param maximumInstanceCount int
param subnetId string

var address = publicUrl != '' ? publicUrl : 'https://${app.properties.defaultHostName}'

var hostSettings = {
  AzureWebJobsStorage__blobServiceUri: hostBlobs
  AzureWebJobsStorage__queueServiceUri: hostQueues
  AzureWebJobsStorage__tableServiceUri: hostTables
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  TASK_HUB: taskHub
  // One heap for all threads: packs and chunks are large, and each further heap keeps its own free space.
  MALLOC_ARENA_MAX: '1'
}

var productSettings = {
  HOLDFAST_BLOBS_URL: blobsUrl
  HOLDFAST_TABLES_URL: tablesUrl
  HOLDFAST_IDENTITY_CLIENT_ID: identityClientId
  HOLDFAST_API_CLIENT_ID: apiClientId
  HOLDFAST_READER_CLIENT_ID: readerClientId
  HOLDFAST_RESTORER_CLIENT_ID: restorerClientId
  HOLDFAST_ONBOARDING_CLIENT_ID: onboardingClientId
  HOLDFAST_KEY_STORE: keyStore
  HOLDFAST_REGIONS: string(regions)
  HOLDFAST_REGION_STORAGE: regionStorage
  HOLDFAST_LOCK_MODE: lockMode
  HOLDFAST_RATE_QUOTA: string(rateQuota)
  HOLDFAST_USERS_NEED_SITE_SETTINGS: string(usersNeedSiteSettings)
  HOLDFAST_AUDIT_MONTHS: string(auditMonths)
  HOLDFAST_COST_TABLE: costTable
  HOLDFAST_PUBLISHER_TENANT_ID: publisherTenantId
  HOLDFAST_MARKETPLACE_CLIENT_ID: marketplaceClientId
  HOLDFAST_CLOUDBLUE_TEMPLATE: cloudBlueTemplate
}

// Secrets are named, never written: the platform reads them with the app's identity.
var cloudBlueSettings = cloudBlue ? {
  HOLDFAST_CLOUDBLUE_KEY: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/cloudblue-key)'
  HOLDFAST_CLOUDBLUE_HOOK_SECRET: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/cloudblue-hook-secret)'
} : {}

var cursorSettings = cursorKeySecret ? {
  HOLDFAST_CURSOR_KEY: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/cursor-key)'
} : {}

var schedulerSettings = schedulerEndpoint != '' ? {
  AzureFunctionsJobHost__extensions__durableTask__storageProvider__type: 'azureManaged'
  AzureFunctionsJobHost__extensions__durableTask__storageProvider__connectionStringName: 'DURABLE_TASK_SCHEDULER_CONNECTION_STRING'
  DURABLE_TASK_SCHEDULER_CONNECTION_STRING: 'Endpoint=${schedulerEndpoint};Authentication=ManagedIdentity;ClientID=${identityClientId}'
} : {}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
    zoneRedundant: zoneRedundant
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: subnetId != '' ? subnetId : null
    siteConfig: {
      minTlsVersion: '1.2'
      ftpsState: 'Disabled'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainer
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: [
          {
            name: 'http'
            instanceCount: zoneRedundant ? max(httpAlwaysReady, 2) : httpAlwaysReady
          }
        ]
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
    }
  }
}

resource settings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(hostSettings, productSettings, cloudBlueSettings, cursorSettings, schedulerSettings, {
    HOLDFAST_PUBLIC_URL: address
  })
}

// Nobody publishes with a password: only with a role on the app.
resource basicFtp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource basicScm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

output id string = app.id
output name string = app.name
output publicUrl string = address

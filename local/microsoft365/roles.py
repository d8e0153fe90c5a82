"""Application permissions of Microsoft Graph, as data."""

from local.microsoft365.ids import guid

IDS = {
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
    "User.ReadWrite.All": "741f803b-c850-494e-b5df-cde7c675a1ca",
    "GroupMember.Read.All": "98830695-27a2-44f7-8c18-0c3ebc9698f6",
    "Group.Read.All": "5b567255-7703-4780-807c-7be8301ae99b",
    "Organization.Read.All": "498476ce-e0fe-48b0-b801-37ba7e2685c6",
    "Directory.Read.All": "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
    "Directory.ReadWrite.All": "19dbc75e-c2e2-444c-a770-ec69d8559fc7",
    "Mail.Read": "810c84a8-4a9e-49e6-bf7d-12d183f40d01",
    "Mail.ReadWrite": "e2a3a72e-5f79-4c64-b1b1-878b674786c9",
    "MailboxSettings.Read": "40f97065-369a-49f4-947c-6a255697ae91",
    "Calendars.Read": "798ee544-9d2d-430c-a058-570e29e34338",
    "Calendars.ReadWrite": "ef54d2bf-783f-4e0f-bca1-3210c0444d99",
    "Contacts.Read": "089fe4d0-434a-44c5-8827-41ba8a0b17f5",
    "Contacts.ReadWrite": "6918b873-d17a-4dc1-b314-35f528134491",
    "Tasks.Read.All": "f10e1f91-74ed-437f-a6fd-d6ae88e26c1f",
    "Tasks.ReadWrite.All": "44e666d1-d276-445b-a5fc-8815eeb81d55",
    "Files.Read.All": "01d4889c-1287-42c6-ac1f-5d1e02578ef6",
    "Files.ReadWrite.All": "75359482-378d-4052-8f01-80520e7db3cd",
    "Sites.Read.All": "332a536c-c7ef-4017-ab91-336970924f0d",
    "Sites.ReadWrite.All": "9492366f-7969-46a4-8d15-ed1a20078fff",
    "Sites.FullControl.All": "a82116e5-55eb-4c41-a434-62fe8a61c773",
    "Application.ReadWrite.All": "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
    "AppRoleAssignment.ReadWrite.All": "06b708a9-e830-4db3-a914-8e69da51d44f",
}
for _name in (
    "DelegatedPermissionGrant.ReadWrite.All",
    "Team.ReadBasic.All",
    "TeamSettings.Read.All",
    "TeamMember.Read.All",
    "TeamsTab.Read.All",
    "Channel.ReadBasic.All",
    "Channel.Create",
    "ChannelMember.Read.All",
    "ChannelMessage.Read.All",
    "Teamwork.Migrate.All",
    "MailboxFolder.Read.All",
    "MailboxItem.Read.All",
    "MailboxItem.Export.All",
    "MailboxFolder.ReadWrite.All",
    "MailboxItem.ImportExport.All",
):
    IDS.setdefault(_name, guid("role", _name))
NAMES = {identity: name for name, identity in IDS.items()}

READER = [
    "User.Read.All",
    "GroupMember.Read.All",
    "Organization.Read.All",
    "Mail.Read",
    "MailboxSettings.Read",
    "Calendars.Read",
    "Contacts.Read",
    "Files.Read.All",
    "Sites.Read.All",
    "Team.ReadBasic.All",
    "TeamSettings.Read.All",
    "TeamMember.Read.All",
    "TeamsTab.Read.All",
    "Channel.ReadBasic.All",
    "ChannelMember.Read.All",
    "ChannelMessage.Read.All",
]
RESTORER = [
    "Mail.ReadWrite",
    "Calendars.ReadWrite",
    "Contacts.ReadWrite",
    "Files.ReadWrite.All",
    "Sites.ReadWrite.All",
    "User.Read.All",
    "Channel.ReadBasic.All",
    "Channel.Create",
    "ChannelMessage.Read.All",
    "Teamwork.Migrate.All",
]

WORDS = {
    "User.Read.All": "Read the profiles of all users",
    "GroupMember.Read.All": "Read group memberships",
    "Organization.Read.All": "Read information about the organisation",
    "Mail.Read": "Read mail in all mailboxes",
    "Mail.ReadWrite": "Read and write mail in all mailboxes",
    "MailboxSettings.Read": "Read the settings of all mailboxes",
    "Calendars.Read": "Read calendars in all mailboxes",
    "Calendars.ReadWrite": "Read and write calendars in all mailboxes",
    "Contacts.Read": "Read contacts in all mailboxes",
    "Contacts.ReadWrite": "Read and write contacts in all mailboxes",
    "Files.Read.All": "Read all files",
    "Files.ReadWrite.All": "Read and write all files",
    "Sites.Read.All": "Read items in all site collections",
    "Sites.ReadWrite.All": "Read and write items in all site collections",
    "Application.ReadWrite.All": "Create and change applications",
    "AppRoleAssignment.ReadWrite.All": "Grant application permissions",
}

# Which permissions open which door; any one of them is enough.
DIRECTORY = "Directory.Read.All Directory.ReadWrite.All"
ORGANIZATION_READ = f"Organization.Read.All {DIRECTORY}"
USERS_READ = f"User.Read.All User.ReadWrite.All {DIRECTORY}"
MAIL_READ = "Mail.Read Mail.ReadWrite"
MAIL_WRITE = "Mail.ReadWrite"
CALENDARS_WRITE = "Calendars.ReadWrite"
CALENDARS_READ = f"Calendars.Read {CALENDARS_WRITE}"
CONTACTS_WRITE = "Contacts.ReadWrite"
CONTACTS_READ = f"Contacts.Read {CONTACTS_WRITE}"
FILES_WRITE = "Files.ReadWrite.All Sites.ReadWrite.All Sites.FullControl.All"
FILES_READ = f"Files.Read.All Sites.Read.All {FILES_WRITE}"
SITES_CONTROL = "Sites.FullControl.All"
SITES_WRITE = f"Sites.ReadWrite.All {SITES_CONTROL}"
SITES_READ = f"Sites.Read.All {SITES_WRITE}"
GROUPS_READ = f"GroupMember.Read.All Group.Read.All {DIRECTORY}"
TEAMS_READ = "Team.ReadBasic.All TeamSettings.Read.All Group.Read.All"
TEAM_MEMBERS_READ = "TeamMember.Read.All Group.Read.All"
TABS_READ = "TeamsTab.Read.All Group.Read.All"
CHANNELS_READ = "Channel.ReadBasic.All Group.Read.All"
CHANNELS_WRITE = "Channel.Create Teamwork.Migrate.All"
CHANNEL_MEMBERS_READ = "ChannelMember.Read.All"
CHANNEL_MESSAGES_READ = "ChannelMessage.Read.All"
MIGRATE = "Teamwork.Migrate.All"
APPS_WRITE = "Application.ReadWrite.All"
APPS_READ = f"Application.ReadWrite.All Application.Read.All {DIRECTORY}"
GRANTS_WRITE = "AppRoleAssignment.ReadWrite.All"


def wanted_by(name: str) -> list[str]:
    """Return the permissions an application asks for when its registration does not say."""
    lowered = name.lower()
    if "onboard" in lowered:
        return [APPS_WRITE, GRANTS_WRITE]
    return list(RESTORER if "restor" in lowered else READER)
